"use strict";
// Sorting by a column, and searching the parts about transfers. Without this script everything can still be read.

// A cell's exact value where it has one, else the number that its text begins with, else its text.
function valueOf(cell) {
  const exact = cell.getAttribute("data-value");
  if (exact !== null) return Number(exact);
  const text = cell.textContent.trim();
  const number = parseFloat(text);
  return Number.isNaN(number) || cell.classList.contains("text") ? text : number;
}

// Numbers before texts, empty cells last whatever the direction; equal rows keep their order.
function compare(a, b, direction) {
  if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  const sign = typeof a === "number" ? Math.sign(a - b) : a.localeCompare(b, undefined, { numeric: true });
  return direction * sign;
}

function sortBy(table, column, direction) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => [valueOf(row.cells[column]), row]);
  rows.sort((one, other) => compare(one[0], other[0], direction));
  for (const [, row] of rows) body.append(row);
}

function makeSortable(table) {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Sort by this column";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      // Numbers begin with the highest, names with the first.
      const first = head.classList.contains("text") ? "ascending" : "descending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? other : first;
      for (const one of heads) one.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      sortBy(table, column, order === "ascending" ? 1 : -1);
    });
  });
}

function makeSearchable(form) {
  const parts = Array.from(document.querySelectorAll("details.part"));
  const texts = parts.map((part) => part.textContent.toLowerCase());
  const said = form.querySelector("output");
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector("input").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    parts.forEach((part, i) => {
      part.hidden = !words.every((word) => texts[i].includes(word));
      count += part.hidden ? 0 : 1;
    });
    said.textContent = `${count} of ${parts.length} shown`;
  });
}

// A link into a part that is closed, or that a search hides, opens it.
function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target === null) return;
  for (let part = target; part; part = part.parentElement) {
    if (part.tagName === "DETAILS") part.open = true;
    part.hidden = false;
  }
  target.scrollIntoView();
}

document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll("form.search").forEach(makeSearchable);
window.addEventListener("hashchange", openTarget);
if (location.hash) openTarget();

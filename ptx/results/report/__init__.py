"""One HTML file of what a cache holds, to be read by people: without a network, and without JavaScript if need be.

gather      everything that the page shows      transfers   the evaluations of one number in a table, as one part
grids       tables, heat maps, relations        again       the command that makes a number again
errors      answers side by side                words       vectors before and after
beside      another process, which looks them up meanwhile
write       the page, from page.html.jinja, page.css and page.js
"""

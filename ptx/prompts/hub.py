"""Prompts on the Hugging Face hub: a repository of one prompt, with its card as README.md. No pickle is fetched.

The token is that of the environment (HF_TOKEN) or of `hf auth login`, as huggingface_hub finds it.
"""

from collections.abc import Mapping
from pathlib import Path

from ptx.errors import PtxError, UsageError, first_line
from ptx.formats import peft, words
from ptx.formats.card import FOLDER_CARD, HUB_FILE, beside, render_words
from ptx.lms import hub
from ptx.lms.places import HUB_ID, pinned

PREFIX = "hf:"
NAMES = {"peft": "adapter", "safetensors": HUB_FILE, "words": words.FILE}  # an adapter is the whole repository
SINGLE = (HUB_FILE, words.FILE)
FETCHED = (peft.CONFIG, peft.WEIGHTS, *SINGLE, FOLDER_CARD)
BESIDE = {".gitattributes", FOLDER_CARD}  # what the hub itself puts into a new repository
LOGIN = "run `hf auth login` or set HF_TOKEN, with a token that may write there"


def check_repo(name: str) -> None:
    """Raise UsageError for what is no name of a repository."""
    if not HUB_ID.fullmatch(name) or ".." in name or "--" in name:
        raise UsageError(f"{name!r} is no name of a repository on the hub", "write it like --push USER/NAME")


def files_of(exported: Path, repo: str) -> dict[str, bytes]:
    """What was exported, as it is to stand in a repository: a file's card is the repository's."""
    if exported.is_dir():
        return {file.name: file.read_bytes() for file in sorted(exported.iterdir())}
    if exported.name == words.FILE:
        page = render_words(words.read(exported), repo).encode("utf-8")
    else:
        page = beside(exported).read_bytes()
    return {exported.name: exported.read_bytes(), FOLDER_CARD: page}


def push(repo: str, files: Mapping[str, bytes], *, private: bool, force: bool) -> str:
    """Upload a prompt's files in one commit, into a new repository, public unless `private` or the organisation says
    otherwise; unless `force`, not into one that holds other files. Returns its address. Raises PtxError."""
    from huggingface_hub import CommitOperationAdd, HfApi, errors
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()  # of a few kilobytes
    api = HfApi()
    try:
        address = api.create_repo(repo, private=private or None, exist_ok=True)
        there = api.model_info(repo)
        if private and not there.private:
            raise PtxError(f"{repo} is public already", "choose another name, or make it private in its settings")
        other = {file.rfilename for file in there.siblings or ()} - BESIDE
        if other and not force:
            what = f"{repo} holds files already: {', '.join(sorted(other)[:5])}"
            raise PtxError(what, "choose another name, or add --force to commit on top of them")
        adding = [CommitOperationAdd(name, content) for name, content in files.items()]
        api.create_commit(repo, adding, commit_message="A soft prompt, by ptx")
    except PtxError:
        raise
    except errors.OfflineModeIsEnabled:
        raise PtxError(f"cannot push to {repo}: the hub is switched off", "unset HF_HUB_OFFLINE") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403, 404):
            raise PtxError(f"the hub does not let you write to {repo} ({status})", LOGIN) from None
        raise PtxError(f"cannot push to {repo}: {first_line(error)}", "try again") from None
    except Exception as error:  # the HTTP library's own; of a token that is none
        raise PtxError(
            f"cannot push to {repo}: {first_line(error)}", f"try again where there is a network; {LOGIN}"
        ) from None
    return str(address)


def fetched(named: str) -> Path:
    """The file or folder of the prompt that `hf:USER/NAME[@REVISION]` means, in the hub's cache. Raises PtxError."""
    repo, revision = pinned(named.removeprefix(PREFIX))
    if not HUB_ID.fullmatch(repo) or (named.count("@") and not revision):
        raise UsageError(f"{named} is no prompt on the hub", "write it like hf:USER/NAME or hf:USER/NAME@REVISION")
    folder = hub.fetch_prompt(repo, FETCHED, revision)
    if (folder / peft.CONFIG).is_file():
        if not (folder / peft.WEIGHTS).is_file():
            hint = f"`hf download {repo}` fetches whatever it has, for `ptx import FOLDER`"
            raise PtxError(f"{repo} has no {peft.WEIGHTS}, and pickles are not fetched from the hub", hint)
        return folder
    if (found := next((folder / name for name in SINGLE if (folder / name).is_file()), None)) is None:
        hint = f"see https://huggingface.co/{repo}/tree/main; a file of it that you fetched can be imported"
        raise PtxError(f"{repo} has neither {peft.CONFIG} nor {' nor '.join(SINGLE)}", hint)
    return found

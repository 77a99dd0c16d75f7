"""Pages of the site that have their source elsewhere: READMEs of other folders, gas of snapshots/, the command line's help."""

import json
import os
import re
import subprocess
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
READMES = {
    "contracts.md": "contracts/README.md",
    "typescript.md": "packages/hallmark/README.md",
    "peers.md": "benches/peers/README.md",
}


def hallmark(*arguments):
    binary = os.environ.get("HALLMARK_BIN", ROOT / "target/release/hallmark")
    environment = {**os.environ, "COLUMNS": "100"}
    return subprocess.run([binary, *arguments], capture_output=True, text=True, check=True, env=environment).stdout


def commands(help_text):
    """Names of the subcommands that a help text lists."""
    listed = re.search(r"^Commands:\n(.*?)\n\n", help_text, re.M | re.S)
    names = re.findall(r"^  ([a-z][\w-]*)", listed.group(1), re.M) if listed else []
    return [name for name in names if name != "help"]


def command_line():
    """A page with every command's help, as the binary prints it."""
    top = hallmark("--help")
    page = ["# Command line", "", "What `hallmark --help` and the help of each command print.", "", "```text", top.rstrip(), "```"]
    for name in commands(top):
        text = hallmark(name, "--help")
        page += ["", f"## hallmark {name}", "", "```text", text.rstrip(), "```"]
        for inner in commands(text):
            page += ["", f"### hallmark {name} {inner}", "", "```text", hallmark(name, inner, "--help").rstrip(), "```"]
    return "\n".join(page) + "\n"


def snapshots():
    """The figures of snapshots/ as one table."""
    rows = ["| contract | what | figure |", "| --- | --- | ---: |"]
    for path in sorted((ROOT / "snapshots").glob("*.json")):
        for what, figure in json.loads(path.read_text()).items():
            rows.append(f"| `{path.stem}` | {what} | {int(figure):,} |")
    return "\n".join(rows)


def relinked(markdown, source):
    """Links of `source`, a file of the repository, as links of the site. Files that are no page of it lose their link, a file that
    is not there keeps it, for MkDocs to refuse."""
    pages = {(ROOT / readme): page for page, readme in READMES.items()}

    def link(match):
        text, target, anchor = match.groups()
        path = (source.parent / target).resolve()
        if path in pages:
            return f"[{text}]({pages[path]}{anchor or ''})"
        if path.parent == ROOT / "docs":
            return f"[{text}]({path.name}{anchor or ''})"
        return text if path.exists() else match.group(0)

    return re.sub(r"\[([^\]]*)\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)", link, markdown)


def on_files(files, config):
    for page, readme in READMES.items():
        files.append(File.generated(config, page, content=(ROOT / readme).read_text()))
    files.append(File.generated(config, "cli.md", content=command_line()))
    return files


def on_page_markdown(markdown, page, config, files):
    name = page.file.src_path
    if name == "gas.md":
        markdown = markdown.replace("<!-- snapshots -->", snapshots())
    return relinked(markdown, ROOT / READMES.get(name, f"docs/{name}"))

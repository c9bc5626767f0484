"""`cxrbench submission` as a user meets it: exit codes, one line for an error, JSON, a checker that survives."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxrbench.benchmark import digest
from cxrbench.benchmark.cli import app
from cxrbench.benchmark.disk import trouble
from cxrbench.benchmark.errors import InputError
from cxrbench.leaderboard import guard

runner = CliRunner()


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cxrbench.benchmark.cli", "submission", *words],
        capture_output=True,
        text=True,
        check=False,
    )


def test_new_then_check_passes(tmp_path):
    root = tmp_path / "submissions"
    assert runner.invoke(app, ["submission", "new", "my_gan", "--dir", str(root)]).exit_code == 0
    done = command("check", str(root / "my_gan"))
    assert done.returncode == 0 and done.stdout.startswith("my_gan: passed\n")


def test_check_of_a_folder_checks_every_entry_and_fails_with_one(tmp_path):
    root = tmp_path / "submissions"
    for name in ("good", "bad"):
        runner.invoke(app, ["submission", "new", name, "--dir", str(root)])
    (root / "bad" / "run.py").write_text("print('executed')")
    (root / "stray.bin").write_bytes(b"x")
    done = command("check", str(root), "--json")
    found = {verdict["name"]: verdict for verdict in json.loads(done.stdout)}
    assert done.returncode == 1 and found["good"]["passed"] and not found["bad"]["passed"]
    assert found["bad"]["findings"][0]["level"] == "error" and "do not belong" in found["bad"]["findings"][0]["message"]
    assert "error: 2 of 3 did not pass: bad, submissions" in done.stderr and "Traceback" not in done.stderr


def test_checking_imports_no_torch(tmp_path):
    runner.invoke(app, ["submission", "new", "my_gan", "--dir", str(tmp_path)])
    code = (
        "import sys\nfrom pathlib import Path\nfrom cxrbench.leaderboard.checks import check_entry\n"
        f"assert check_entry(Path({str(tmp_path / 'my_gan')!r})).passed\nassert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_such_folder_is_wrong_input():
    result = runner.invoke(app, ["submission", "check", "nowhere"])
    assert isinstance(result.exception, InputError) and "no such folder" in str(result.exception)


def test_a_folder_that_is_no_run_cannot_be_packed(tmp_path):
    result = runner.invoke(app, ["submission", "pack", str(tmp_path), "--name", "my_gan", "--dir", str(tmp_path)])
    assert isinstance(result.exception, InputError) and "cxrbench run" in str(result.exception)


def test_pack_takes_the_run_from_the_home_store(made_run, tmp_path, monkeypatch):
    made = made_run(tmp_path)
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path))
    words = ["submission", "pack", str(made.run), "--name", "my_gan", "--dir", str(tmp_path / "submissions")]
    result = runner.invoke(app, words)
    assert result.exit_code == 0 and "submission check" in result.stdout
    said = " ".join(result.stdout.split())
    assert "it holds the id of every test film" in said, "its films are no phantom"
    assert "the check will refuse this run: there is no task squares" in said, "it is not installed"
    assert "have the example's words still (description, authors, contact, command, code, paper, README.md)" in said
    assert (tmp_path / "submissions" / "my_gan" / "digests.json").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of processes")
def test_an_entry_that_takes_too_long_is_refused_and_drawing_films_does_not_count(tmp_path, monkeypatch):
    runner.invoke(app, ["submission", "new", "my_gan", "--dir", str(tmp_path)])
    slow = tmp_path / "slow" / "sitecustomize.py"
    slow.parent.mkdir()
    slow.write_text(
        "import threading, time\n"
        "def burn():\n"
        "    from cxrbench.leaderboard import guard\n"
        "    while guard.processor_left() is None: time.sleep(0.01)\n"
        "    while True: pass\n"
        "threading.Thread(target=burn, daemon=True).start()\n"
        "import cxrbench.leaderboard.checks as checks\n"
        "checks.check_entry = lambda *a, **k: time.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{slow.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    verdict = guard.check_guarded(tmp_path / "my_gan", None, 1.0)
    message = verdict["findings"][0]["message"]
    assert verdict["status"] == "refused" and "after its 1 seconds of the processor" in message
    assert "--time-limit" in message and "\n" not in message


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of processes")
def test_the_limit_of_the_processor_can_be_lifted_for_a_while():
    code = (
        "import time\nfrom cxrbench.leaderboard.guard import allow_processor, processor_left\n"
        "assert processor_left() is None\nallow_processor(5)\nassert 4 < processor_left() <= 6\n"
        "allow_processor(None)\nassert processor_left() is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_site_is_built_of_the_entries_that_can_be_read(pack_system, tmp_path):
    pack_system("good")
    root = tmp_path / "submissions"
    for name, text in (("ended", "a." * 20_000 + "a=1"), ("stalled", 'a="' + '\\"' * 30_000)):
        (root / name).mkdir()
        (root / name / "submission.toml").write_text(text)
    done = runner.invoke(app, ["leaderboard", "build", "--entries", str(root), "--out", str(tmp_path / "site")])
    assert done.exit_code == 1 and done.stdout.startswith("1 entry on 1 board")
    lines = [line for line in done.stderr.splitlines() if line]
    assert [line.partition(": submission.toml")[0] for line in lines] == [
        "error: left out: ended",
        "error: left out: stalled",
    ]
    assert (tmp_path / "site" / "index.html").is_file()


def test_an_entry_that_ends_the_process_that_reads_it_is_left_out(pack_system, tmp_path, monkeypatch):
    """What a crash within a parser would do: the others are read by the next process."""
    for name in ("a", "b", "c"):
        pack_system(name, draw=ord(name))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "sitecustomize.py").write_text(
        "import os\nfrom cxrbench.leaderboard import entry\nload = entry.load_entry\n"
        "entry.load_entry = lambda folder: os.abort() if folder.name == 'b' else load(folder)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{mine}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    attempts, lines = guard.load_guarded(tmp_path / "submissions")
    assert [one.entrant.name for one in attempts] == ["a", "c"]
    assert len(lines) == 1 and lines[0].startswith("b: the process that read it ended with status -6")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})", "with status -11"),
        ("raise SystemExit(7)", "with status 7"),
        ("import time; time.sleep(60)", "after its 1 seconds"),
    ],
)
def test_a_checker_that_dies_or_hangs_refuses_the_entry(code, words, tmp_path, monkeypatch):
    """What a parser's crash would do to the process that checks."""
    real = subprocess.run
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **options: real([sys.executable, "-c", code], **options | {"env": os.environ}),
    )
    monkeypatch.setattr(guard, "DRAWING", 0.0)
    monkeypatch.setattr(guard, "LONGEST", 0.0)
    verdict = guard.check_guarded(tmp_path / "my_gan", None, 1.0)
    assert not verdict["passed"] and verdict["status"] == "refused" and words in verdict["findings"][0]["message"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_pack_onto_a_full_disk_leaves_the_entry_as_it_was(made_run, tmp_path, monkeypatch, code):
    made, root = made_run(tmp_path), tmp_path / "submissions"
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path))
    words = ["submission", "pack", str(made.run), "--name", "my_gan", "--dir", str(root)]
    assert runner.invoke(app, words).exit_code == 0
    before = digest.of_folder(root)

    def full(path, *_, **__):
        raise OSError(code, os.strerror(code), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        result = runner.invoke(app, words)
    assert isinstance(result.exception, InputError) and os.strerror(code) in str(result.exception)
    assert "CXRBENCH_HOME" in trouble(result.exception) and digest.of_folder(root) == before
    assert runner.invoke(app, words).exit_code == 0

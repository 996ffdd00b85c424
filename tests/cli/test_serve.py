"""`tlkit serve`: what is refused before anything is opened, and a run from start to stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from tests.serving.conftest import ColourModel, encode_image, wait_until
from tlkit.commands import serve as command
from tlkit.commands.serve import ServeOptions, run_serve
from tlkit.errors import SettingError
from tlkit.reports.console import Console
from tlkit.serving import training_photos
from tlkit.serving.limits import Limits
from tlkit.serving.server import make_server

RunCli = Callable[..., Any]
TOKEN = "s3cret-s3cret-s3cret"


@pytest.fixture(autouse=True)
def colour_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let any run be the model of `tests/serving/conftest.py`."""
    monkeypatch.setattr(command, "open_classifier", lambda *_, **__: ColourModel())
    monkeypatch.setattr(training_photos, "find_run_folder", lambda _: None)
    monkeypatch.delenv("TLKIT_TOKEN", raising=False)
    run = tmp_path / "run"
    run.mkdir()
    return run


def serve_once(run: Path, options: ServeOptions, console: Console) -> tuple[dict[str, Any], httpx.Response]:
    """Serve until one request is answered; return the result and the answer."""
    answers: list[httpx.Response] = []

    def ask(address: str, stop: Callable[[], None]) -> None:
        def send() -> None:
            headers = {"authorization": f"Bearer {TOKEN}"}
            answers.append(
                httpx.post(f"{address}/predict", files={"image": encode_image("red")}, headers=headers, verify=False)
            )
            stop()

        threading.Thread(target=send).start()

    with ThreadPoolExecutor() as own_loop:  # the browser of other tests holds that of this thread
        payload = own_loop.submit(run_serve, run, options, console=console, on_ready=ask).result(30)
    return payload, answers[0]


def test_a_run_is_served_until_it_is_stopped(colour_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    payload, answer = serve_once(colour_model, ServeOptions(port=0), Console())
    assert answer.json()["predictions"][0]["classes"][0]["class_name"] == "red"
    assert {key: payload[key] for key in ("requests", "images", "unreadable")} == {
        "requests": 1,
        "images": 1,
        "unreadable": 0,
    }
    first, line, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"Serving {colour_model} at {payload['address']} (colours, ready in ")
    assert " 127.0.0.1 POST /predict 200 " in line
    assert last == "Stopped. Requests: 1; images predicted: 1."


def test_quiet_prints_no_line_for_a_request(colour_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serve_once(colour_model, ServeOptions(port=0), Console(verbosity=-1))
    assert capsys.readouterr() == ("", "")


def test_an_address_that_others_reach_warns_without_a_token(
    colour_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serve_once(colour_model, ServeOptions(host="0.0.0.0", port=0, token=TOKEN), Console(verbosity=-1))
    assert capsys.readouterr().err == ""
    serve_once(colour_model, ServeOptions(host="0.0.0.0", port=0), Console(verbosity=-1))
    assert capsys.readouterr().err == (
        "Warning: everybody who can reach 0.0.0.0 can use the server; --token, or the variable TLKIT_TOKEN, limits it "
        "to those who know the token.\n"
    )


def test_a_short_token_is_refused(colour_model: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLKIT_TOKEN", "short")
    result = run_cli("serve", colour_model)
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: --token: 5 characters.\n"
        "  Expected: at least 16 ASCII characters without spaces\n"
        '  Fix: make one with `python -c "import secrets; print(secrets.token_urlsafe())"`.\n'
    )


def test_a_port_in_use_is_refused_before_the_model_is_opened(
    colour_model: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "open_classifier", lambda *_, **__: pytest.fail("opened"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run_cli("serve", colour_model, "--port", port)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: --host 127.0.0.1 --port {port}: Address already in use.\n"
        "  Expected: a free port\n"
        "  Fix: choose another port with --port, or end the program that uses it.\n"
    )


def test_a_host_that_is_not_here_is_refused(colour_model: Path) -> None:
    with pytest.raises(SettingError, match=r"^--host 192\.0\.2\.1 --port 8000: Cannot assign requested address\.\n"):
        run_serve(colour_model, ServeOptions(host="192.0.2.1"), console=Console())


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "python_multipart"])
def test_a_missing_package_names_the_extra(
    colour_model: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    result = run_cli("serve", colour_model)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: tlkit serve: the package {package} is not installed.\n"
        "  Expected: the packages of the extra serve\n"
        "  Fix: install them with `pip install 'tlkit[serve]'`.\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_the_server_to_stop_and_raises_nothing(number: signal.Signals) -> None:
    server = make_server(Starlette(), Limits(), count_invalid=lambda: None, announce=lambda: None)
    before = signal.getsignal(number)
    with server.capture_signals():
        os.kill(os.getpid(), number)
        wait_until(lambda: server.should_exit)
    assert signal.getsignal(number) is before


def test_the_help_loads_no_server() -> None:
    program = (
        "import sys; from tlkit.cli.main import main; main(['serve', '--help']); "
        "assert not {'starlette', 'uvicorn', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_a_server_leaves_the_log_handlers_of_others_open() -> None:
    class Handler(logging.Handler):
        is_closed = False

        def close(self) -> None:
            self.is_closed = True
            super().close()

    handler = Handler()
    make_server(Starlette(), Limits(), count_invalid=lambda: None, announce=lambda: None)
    assert not handler.is_closed
    handler.close()

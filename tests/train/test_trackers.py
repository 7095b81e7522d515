"""``--log wandb`` and ``mlflow``: what Lightning's loggers are told. Neither is installed here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner
from runs import run, small, write_spec

from archdsl.cli.commands import commands
from archdsl.recipe import Recipe, optimizers
from archdsl.train.errors import TrainError
from archdsl.train.logs import read_metrics

pytestmark = pytest.mark.filterwarnings("ignore")

RECIPE = Recipe("fake:16", 8, 2, optimizer=optimizers.SGD(lr=0.05))


class Logger:
    """Notes what it is told, as Lightning's loggers are."""

    made: list[Logger]
    fault: str | None = None

    def __init__(self, *names: str, **settings: Any) -> None:
        self.names, self.settings = names, settings
        self.told: list[tuple[int, dict[str, float]]] = []
        self.status = ""
        self.code: int | None = None
        self.made.append(self)
        if self.fault == "begin":
            raise ValueError("No API key configured.\nUse `login`.")

    def log_hyperparams(self, settings: dict[str, Any]) -> None:
        self.hyperparams = settings

    def log_metrics(self, numbers: dict[str, float], step: int) -> None:
        if self.fault == "log":
            raise OSError("no network")
        self.told.append((step, numbers))

    def finalize(self, status: str) -> None:
        self.status = status

    @property
    def experiment(self) -> Logger:
        return self

    def finish(self, exit_code: int) -> None:
        assert self.status
        self.code = exit_code


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> type[Logger]:
    """Stands for both of Lightning's loggers."""

    class Noting(Logger):
        made: list[Logger] = []  # noqa: RUF012

    loggers: Any = ModuleType("pytorch_lightning.loggers")
    loggers.WandbLogger = loggers.MLFlowLogger = Noting
    monkeypatch.setitem(sys.modules, "lightning", None)
    for name in ("wandb", "mlflow", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "pytorch_lightning.loggers", loggers)
    return Noting


def test_trackers_get_settings_and_epochs(
    tmp_path: Path, logger: type[Logger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    outcome = run(small(), tmp_path, RECIPE, log=("csv", "wandb", "mlflow"))
    wandb, mlflow = logger.made
    assert wandb.settings == {
        "name": "run",
        "project": "archdsl",
        "save_dir": str(tmp_path / "run"),
    }
    assert mlflow.names == ("archdsl",)
    assert mlflow.settings["tracking_uri"] == f"sqlite:///{tmp_path / 'mlflow.db'}"
    rows = read_metrics(outcome.run)
    for found in (wandb, mlflow):
        assert found.hyperparams["recipe.optimizer.lr"] == 0.05
        assert found.hyperparams["data.name"] == "fake:16"
        assert found.hyperparams["options.seed"] == 0
        assert [step for step, _ in found.told] == [2, 4]
        assert [told["val_loss"] for _, told in found.told] == [row["val_loss"] for row in rows]
        assert found.status == "success"
    assert (wandb.code, mlflow.code) == (0, None)


def test_a_tracker_that_does_not_begin_leaves_no_run(tmp_path: Path, logger: type[Logger]) -> None:
    logger.fault = "begin"
    with pytest.raises(TrainError) as raised:
        run(small(), tmp_path, RECIPE, log=("wandb",))
    assert str(raised.value) == "`--log wandb` does not begin: No API key configured."
    assert list(tmp_path.iterdir()) == []


def test_a_tracker_that_fails_does_not_end_the_run(
    tmp_path: Path, logger: type[Logger], capsys: pytest.CaptureFixture[str]
) -> None:
    logger.fault = "log"
    assert run(small(), tmp_path, RECIPE, log=("mlflow",)).epochs == 2
    said = capsys.readouterr().err
    assert said.count("note: mlflow fails, and the run continues without it: no network") == 1


def test_trackers_are_told_that_a_run_has_failed(tmp_path: Path, logger: type[Logger]) -> None:
    far = Recipe("fake:16", 8, 2, optimizer=optimizers.SGD(lr=1e30))
    with pytest.raises(TrainError, match="is not a finite number"):
        run(small(), tmp_path, far, log=("wandb", "mlflow"))
    assert [(found.status, found.code) for found in logger.made] == [
        ("failed", 1),
        ("failed", None),
    ]


def test_a_dry_run_tells_no_tracker(tmp_path: Path, logger: type[Logger]) -> None:
    run(small(), tmp_path, RECIPE, log=("wandb",), dry_run=True)
    assert logger.made == []


@pytest.mark.parametrize("missing", ["wandb", "pytorch_lightning.loggers"])
def test_a_missing_package_names_its_install(
    tmp_path: Path, logger: type[Logger], monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.chdir(tmp_path)
    spec = write_spec(tmp_path)
    done = CliRunner().invoke(commands, ["train", str(spec), "--data", "fake:16", "--log", "wandb"])
    assert done.exit_code == 2
    assert (
        "`--log wandb` needs wandb and Lightning: pip install wandb pytorch-lightn" in done.stderr
    )
    assert not (tmp_path / "runs").exists()

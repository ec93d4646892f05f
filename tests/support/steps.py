"""Run pipeline steps in this process, like the executor: artifacts are files in a folder."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kfp import dsl

from pipelines.steps.evaluate import evaluate
from pipelines.steps.preprocess import preprocess
from pipelines.steps.propose import propose
from pipelines.steps.train import train


@dataclass
class Workbench:
    """A folder of artifacts, and the steps that use it."""

    root: Path
    made: dict[str, Any] = field(default_factory=dict)
    model_digest: str = ""
    fitted_sha256: str = ""

    def artifact(self, name: str, kind: type[Any] = dsl.Artifact) -> Any:
        """An existing artifact or one that will be written."""
        if name not in self.made:
            self.made[name] = kind(name=name, uri=str(self.root / name), metadata={})
        return self.made[name]

    def load(self, name: str) -> Any:
        return json.loads(Path(self.made[name].path).read_text())

    def split(self, csv: Path, sha256: str, **options: Any) -> dict[str, Any]:
        data = dsl.Dataset(name="data", uri=str(csv), metadata={})
        preprocess.python_func(
            data=data,
            data_sha256=sha256,
            train=self.artifact("train", dsl.Dataset),
            held_out=self.artifact("held_out", dsl.Dataset),
            schema=self.artifact("schema"),
            **options,
        )
        return self.load("schema")

    def fit(self, **options: Any) -> str:
        self.model_digest, self.fitted_sha256 = train.python_func(
            data=self.artifact("train"),
            schema=self.artifact("schema"),
            model=self.artifact("model", dsl.Model),
            fitted=self.artifact("fitted"),
            metrics=self.artifact("train_metrics", dsl.Metrics),
            **options,
        )
        return self.model_digest

    def judge(self, **options: Any) -> tuple[float, float, bool]:
        return evaluate.python_func(
            model=self.artifact("model"),
            model_digest=self.model_digest,
            fitted=self.artifact("fitted"),
            fitted_sha256=self.fitted_sha256,
            held_out=self.artifact("held_out"),
            metrics=self.artifact("metrics", dsl.Metrics),
            confusion=self.artifact("confusion", dsl.ClassificationMetrics),
            evaluation=self.artifact("evaluation"),
            **options,
        )

    def put_forward(self, **options: Any) -> dict[str, Any]:
        arguments = {
            "model_name": "cancer",
            "data_uri": "s3://data/team-a/x.csv",
            "data_sha256": "0" * 64,
            "run_id": "run-1",
            "pipeline_digest": "abc",
            "git_commit": "def",
        }
        propose.python_func(
            model=self.artifact("model"),
            evaluation=self.artifact("evaluation"),
            candidate=self.artifact("candidate"),
            model_digest=self.model_digest,
            **(arguments | options),
        )
        return self.load("candidate")

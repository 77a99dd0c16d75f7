"""Trains models as people do and exports them, for tests/exports/main.rs.

    python train.py FOLDER

The data is what scikit-learn ships. Each model becomes NAME.onnx; NAME.data.json, the domain of its features and calibration
data; and NAME.expected.json, for every row of the test set what the library that trained it says: its label, or its value.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy
from lightgbm import LGBMClassifier, LGBMRegressor
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as FloatTensor
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier, XGBRegressor

import cnn

SEED = 7
# Calibration needs no more rows than this.
CALIBRATION = 200


class Data:
    """A data set, as 32-bit floats: what the exported models compute with."""

    def __init__(self, load):
        self.bunch = load()
        x = self.bunch.data.astype(numpy.float32)
        self.x, self.test_x, self.y, self.test_y = train_test_split(x, self.bunch.target, test_size=0.3, random_state=SEED)
        self.features = [
            {"name": str(name), "min": float(column.min()), "max": float(column.max())}
            for name, column in zip(self.bunch.feature_names, x.T)
        ]


def scikit(model, data):
    return to_onnx(model, data.x[:1], options={"zipmap": False} if hasattr(model, "classes_") else None)


def xgboost(model, data):
    return convert_xgboost(model, initial_types=[("x", FloatTensor([None, data.x.shape[1]]))])


def lightgbm(model, data):
    types = [("x", FloatTensor([None, data.x.shape[1]]))]
    return convert_lightgbm(model, initial_types=types, zipmap=False) if hasattr(model, "classes_") else convert_lightgbm(
        model, initial_types=types
    )


def models():
    """Name, model, data set, export."""
    cancer, diabetes, wine = Data(load_breast_cancer), Data(load_diabetes), Data(load_wine)
    forest = {"n_estimators": 10, "max_depth": 4, "random_state": SEED}
    boosted = {"n_estimators": 12, "max_depth": 3, "random_state": SEED}
    quiet = {"verbose": -1}
    yield "sklearn_logistic", make_pipeline(StandardScaler(), LogisticRegression()), cancer, scikit
    yield "sklearn_multinomial", make_pipeline(StandardScaler(), LogisticRegression()), wine, scikit
    yield "sklearn_forest_classifier", RandomForestClassifier(**forest), cancer, scikit
    yield "sklearn_forest_regressor", RandomForestRegressor(**forest), diabetes, scikit
    yield "xgboost_classifier", XGBClassifier(**boosted), cancer, xgboost
    yield "xgboost_multiclass", XGBClassifier(**{**boosted, "n_estimators": 4}), wine, xgboost
    yield "xgboost_regressor", XGBRegressor(**boosted), diabetes, xgboost
    yield "lightgbm_classifier", LGBMClassifier(**boosted, **quiet), cancer, lightgbm
    yield "lightgbm_regressor", LGBMRegressor(**boosted, **quiet), diabetes, lightgbm
    digits = Data(load_digits)
    yield "pytorch_cnn", cnn.Classifier(SEED), digits, cnn.pytorch
    yield "keras_cnn", cnn.Classifier(SEED), digits, cnn.keras


def write(folder, name, onnx_model, model, data):
    (folder / f"{name}.onnx").write_bytes(onnx_model.SerializeToString())
    predicted = model.predict(data.test_x)
    data_file = {"features": data.features, "input_data": data.x[:CALIBRATION].astype(float).tolist()}
    classifier = hasattr(model, "classes_")
    expected = {
        "classifier": classifier,
        "rows": data.test_x.astype(float).tolist(),
        "predicted": [float(v) for v in predicted],
    }
    (folder / f"{name}.data.json").write_text(json.dumps(data_file))
    (folder / f"{name}.expected.json").write_text(json.dumps(expected))
    print(f"{name}: score {model.score(data.test_x, data.test_y):.3f} on {len(data.test_x)} rows")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, model, data, export in models():
        model.fit(data.x, data.y)
        write(folder, name, export(model, data), model, data)


if __name__ == "__main__":
    main()

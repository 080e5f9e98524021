"""Which row of one arm belongs to which row of the other: arrays in, row numbers out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from lm_eval_fr.logs.columns import hex_of


@dataclass(frozen=True)
class Join:
    """Rows of the candidate and the reference that belong together, and those that have no partner.

    The joined rows are in the order of the reference's doc_id, the others in that of their own.
    """

    candidate: np.ndarray
    reference: np.ndarray
    candidate_only: np.ndarray
    reference_only: np.ndarray


def join_rows(
    candidate_keys: np.ndarray, candidate_ids: np.ndarray, reference_keys: np.ndarray, reference_ids: np.ndarray
) -> Join:
    """Joins on equal keys. Rows of one arm that share a key (a document that a task has twice) go by doc_id."""
    if len(candidate_keys) == len(reference_keys) and np.array_equal(candidate_keys, reference_keys):
        rows_c = rows_r = np.arange(len(reference_keys))
        same_order = np.array_equal(candidate_ids, reference_ids)
        if same_order or len(np.unique(reference_keys)) == len(reference_keys):
            return _ordered(rows_c, rows_r, candidate_ids, reference_ids)
    _, codes = np.unique(np.concatenate([candidate_keys, reference_keys]), return_inverse=True)
    codes_c, codes_r = codes[: len(candidate_keys)], codes[len(candidate_keys) :]
    times_c, times_r = _occurrence(codes_c, candidate_ids), _occurrence(codes_r, reference_ids)
    most = 1 + max(times_c.max(initial=0), times_r.max(initial=0))
    _, rows_c, rows_r = np.intersect1d(
        codes_c * most + times_c, codes_r * most + times_r, assume_unique=True, return_indices=True
    )
    return _ordered(rows_c, rows_r, candidate_ids, reference_ids)


def joint_keys(*hashes: np.ndarray) -> np.ndarray:
    """One fixed-width key per row, from columns of SHA-256 digests."""
    if len(hashes) == 1:
        return hashes[0]
    parts = [np.ascontiguousarray(column).view(np.uint8).reshape(len(column), -1) for column in hashes]
    width = sum(part.shape[1] for part in parts)
    return np.concatenate(parts, axis=1).view(f"S{width}").ravel()


def _ordered(rows_c: np.ndarray, rows_r: np.ndarray, ids_c: np.ndarray, ids_r: np.ndarray) -> Join:
    order = np.argsort(ids_r[rows_r], kind="stable")
    return Join(rows_c[order], rows_r[order], _rest(rows_c, ids_c), _rest(rows_r, ids_r))


def _rest(rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
    alone = np.ones(len(ids), dtype=bool)
    alone[rows] = False
    left = np.flatnonzero(alone)
    return left[np.argsort(ids[left], kind="stable")]


def _occurrence(codes: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """How many rows of the same code have a smaller id."""
    order = np.lexsort((ids, codes))
    ordered = codes[order]
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(first)
    within = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.append(starts, len(ordered))))
    times = np.empty(len(ordered), dtype=np.int64)
    times[order] = within
    return times


class HexColumn(Sequence[str]):
    """A column of digests as hexadecimal text, made on demand."""

    def __init__(self, digests: np.ndarray) -> None:
        self._digests = digests

    def __len__(self) -> int:
        return len(self._digests)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        return hex_of(self._digests[at])

    def __iter__(self) -> Iterator[str]:
        return (hex_of(digest) for digest in self._digests)

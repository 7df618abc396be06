"""16-bit quantization: four digits by ROUND_05UP, so that fewer digits come out as from the amount itself."""

from __future__ import annotations

from decimal import ROUND_05UP, Context, Decimal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmviz.figures.colour_scale import short
from mmviz.viewer.quantization import decode, encode

AMOUNTS = st.floats(0, 1, width=32)
FOUR_DIGITS = Context(prec=4, rounding=ROUND_05UP)
TIES = [0.125, 0.375, 0.0625, 0.03125, 0.5, 0.25, 0.0009765625, 0.9999, 0.99995, 0.0001, 0.00099999]


def rounded(amount: float, decade: int) -> Decimal:
    """Returns ``amount`` rounded by decimal arithmetic: to four digits, and none below 10^(decade - 9)."""
    lowest = decade - 9
    exact = Decimal(amount)
    if not exact or exact.adjusted() - 3 >= lowest:
        return FOUR_DIGITS.plus(exact)
    return exact.quantize(Decimal(1).scaleb(lowest), ROUND_05UP)


def three_digits(amount: float) -> str:
    """Returns three significant digits, as the viewer shows them."""
    if amount == 0 or amount < 0.0001:
        return short(amount)
    return f"{amount:#.3g}"


def check_codes(amounts: list[float], dtype: type = np.float32) -> None:
    values = np.array(amounts, dtype)
    codes, decade = encode(values)
    assert codes.dtype == np.uint16 and codes.shape == values.shape
    assert decade == (Decimal(float(values.max())).adjusted() if values.any() else 0)
    for amount, code, decoded in zip(values.astype(float), codes, decode(codes, decade), strict=True):
        expected = rounded(amount, decade)
        if decade >= -13:  # the powers of ten of the smaller ones are no doubles themselves
            assert Decimal(repr(float(decoded))) == expected, (amount, code)
        else:
            assert abs(Decimal(float(decoded)) - expected) <= expected * Decimal("1e-15"), (amount, code)
        assert code < 64_000 and (amount > 0) == (code > 0)


@given(st.lists(AMOUNTS, min_size=1, max_size=30))
@example(TIES)
@example([1.0, 1e-9, 1e-10, 3e-45, 0.0])
@example([0.0])
@example([1.401298464324817e-45])
def test_a_code_is_the_amount_rounded_to_four_digits_by_round_05up(amounts: list[float]) -> None:
    check_codes(amounts)


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=30).filter(
        lambda amounts: max(amounts) == 0 or max(amounts) > 1e-9
    )
)
@example([1e-6, 1e-5, 1e-3, 0.1, 1.0])  # a float64 just below its power of ten is 9999, not 1000
@example([float(np.nextafter(0.1, 0)), 0.1, float(np.nextafter(0.1, 1))])
@example([999_999.5, 1e6, 1234.5])
def test_float64_amounts_are_as_exact(amounts: list[float]) -> None:
    check_codes(amounts, np.float64)


@given(st.lists(AMOUNTS, min_size=1, max_size=30))
@example(TIES)
@example([0.00012344, 0.012345, 0.99949999, 0.9995, 0.0995, 0.00995])
def test_printed_digits_are_those_of_the_amount(amounts: list[float]) -> None:
    values = np.array(amounts, np.float32)
    for amount, decoded in zip(values.astype(float), decode(*encode(values)), strict=True):
        assert short(decoded) == short(amount) and three_digits(decoded) == three_digits(amount)


def test_printed_digits_of_a_hundred_thousand_amounts() -> None:
    rng = np.random.default_rng(3)
    values = (10 ** rng.uniform(-9, 0, 100_000)).astype(np.float32)
    for amount, decoded in zip(values.astype(float), decode(*encode(values)), strict=True):
        assert short(decoded) == short(amount) and three_digits(decoded) == three_digits(amount)


def test_larger_amounts_have_larger_codes() -> None:
    values = np.sort(np.random.default_rng(4).random(10_000).astype(np.float32) ** 6)
    codes, decade = encode(values)
    assert (np.diff(codes.astype(int)) >= 0).all()
    assert (np.diff(decode(np.arange(64_000, dtype=np.uint16), decade)) > 0).all()


def test_the_shape_is_kept() -> None:
    codes, _ = encode(np.full((2, 3, 4), 0.25, np.float32))
    assert codes.shape == (2, 3, 4)
    strided = np.arange(12, dtype=np.float32).reshape(3, 4).T
    assert np.array_equal(decode(*encode(strided)), strided)


@pytest.mark.parametrize("wrong", [-0.1, np.nan, np.inf])
def test_negative_and_infinite_amounts_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="0 or more, and finite"):
        encode(np.array([0.5, wrong]))

"""Devices: data sheets, and what was measured on one of them."""

import csv
import math
from importlib import resources

import pytest

from precsim.laws.published import KUMAR_2024
from precsim.planning import H200, HARDWARE, Choice, plan
from precsim.planning.hardware import Operation, measured_h200, rates


def test_every_row_is_read_and_its_rate_follows_from_size_and_time():
    with (resources.files("precsim.data") / "h200_rates.csv").open() as f:
        assert len(rates()) == len(list(csv.DictReader(f)))
    for r in rates():
        if r.refused:
            assert math.isnan(r.seconds)
        elif r.shape:
            assert r.flops == pytest.approx(2 * math.prod(r.shape) / r.seconds, rel=2e-3)


def test_no_rate_is_above_the_data_sheet_and_every_product_is_right():
    for r in rates():
        if r.refused:
            continue
        assert r.bytes_per_second < H200.bandwidth or min(r.shape) > 1024  # caches serve small operands
        if r.bits <= 16 and r.shape:
            assert r.flops < H200.rate(r.bits)
        if r.shape:  # one rounding of the result in BF16 or FP16; INT8 exact; E4M3 operands are given exactly
            limit = {"INT8": 0.0, "FP32": 1e-5, "TF32": 1e-3}.get(r.format, 0.01)
            assert r.error <= (0.05 if r.operation is Operation.CONVERTED else limit)


def test_the_device_has_no_four_bit_products():
    assert all(r.refused for r in rates() if r.format == "FP4_E2M1")
    assert not measured_h200().has(4)
    assert measured_h200().price(4) == measured_h200().price(8)


def test_measured_peaks_are_medians_of_the_fastest_kernel():
    eight = [r.flops for r in rates() if r.operation is Operation.CONVERTED and len(set(r.shape)) > 1]
    assert measured_h200(conversion=True).rate(8) == sorted(eight)[len(eight) // 2]
    assert measured_h200().rate(16) * measured_h200().utilization == pytest.approx(H200.rate(16) * H200.utilization)


def test_unfused_conversion_takes_away_most_of_what_eight_bits_save():
    choices = (Choice.tied(8), Choice())
    kept = [plan(KUMAR_2024, compute=1e23, hardware=HARDWARE[n], choices=choices).options[1].regret for n in HARDWARE]
    regret = dict(zip(HARDWARE, kept, strict=True))
    assert 0 <= regret["h200-converting"] < 0.2 * regret["h200-measured"] < regret["h200"]


def test_devices_are_found_by_name():
    assert list(HARDWARE)[:2] == ["a100", "h100"]
    assert HARDWARE["h200-measured"] is measured_h200()
    with pytest.raises(KeyError):
        HARDWARE["abacus"]

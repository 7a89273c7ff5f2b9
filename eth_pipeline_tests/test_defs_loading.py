"""Loading the definitions: the garbage collector rests meanwhile, and works afterwards as before."""

import gc

import pytest

from eth_pipeline.defs.loading import collector_at_rest


def test_the_collector_rests_inside_and_works_afterwards() -> None:
    assert gc.isenabled()
    try:
        with collector_at_rest():
            assert not gc.isenabled()
            made: list[list[int]] = [[]]
        assert gc.isenabled()
        assert not any(made is watched for watched in gc.get_objects()), "what was made inside is not looked at again"
    finally:
        gc.unfreeze()


def test_an_import_that_fails_leaves_the_collector_at_work() -> None:
    with pytest.raises(ImportError), collector_at_rest():
        raise ImportError
    assert gc.isenabled()


def test_a_caller_who_switched_it_off_keeps_it_off() -> None:
    gc.disable()
    try:
        with collector_at_rest():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()

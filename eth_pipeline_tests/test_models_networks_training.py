"""Tests of eth_pipeline.models.networks.training."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.networks.input_layer import InputLayer
from eth_pipeline.models.networks.inputs import InputScaling
from eth_pipeline.models.networks.lstm_network import LstmNetwork
from eth_pipeline.models.networks.schedule import TrainingSchedule
from eth_pipeline.models.networks.training import (
    Hours,
    Lessons,
    Loss,
    Trained,
    lay_out,
    lesson_order,
    make_lessons,
    repeatable,
    train,
)
from eth_pipeline.models.networks.windows import hour_grid, raw_windows
from eth_pipeline_tests.planted_sequence import QUICK, planted_sequence

WINDOW = 6
SCALE = {5: 0.02, 12: 0.03}
INPUTS = InputScaling((0, 1, 2), (0.1, 0.0, -0.2), (1.0, 2.0, 0.5))


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return planted_sequence(400, strength=3.0, seed=2)


def laid_out(data: TrainingSet) -> tuple[InputLayer, Hours]:
    layer = InputLayer(INPUTS, data.feature_names, clip=5.0, phases=True)
    grid = hour_grid(data.decision_time, window_hours=WINDOW)
    return layer, lay_out(layer(torch.from_numpy(data.features)), grid, torch.device("cpu"))


def trained(data: TrainingSet, *, epochs: int = 2, seed: int = 1, **changed: float) -> Trained:
    layer, hours = laid_out(data)
    grid = hour_grid(data.decision_time, window_hours=WINDOW)
    rows = np.arange(300)
    return train(
        lambda: LstmNetwork(width=layer.width, hidden=4, layers=1, horizons=2, dropout=0.2),
        hours,
        make_lessons(data, grid, {5: rows, 12: rows}, return_scale=SCALE),
        loss=Loss(),
        schedule=replace(QUICK, **changed),
        seed=seed,
        until=epochs,
    )


def weights(model: Trained) -> bytes:
    return b"".join(weight.detach().numpy().tobytes() for weight in model.body.parameters())


def test_windows_gathered_on_the_device_equal_prepared_raw_windows(data: TrainingSet) -> None:
    """Training reads prepared hours by number, the runtime prepares raw windows by time: to the last bit the same."""
    layer, hours = laid_out(data)
    rows = np.arange(len(data.decision_time))
    grid = hour_grid(data.decision_time, window_hours=WINDOW)
    gathered = hours.windows(torch.from_numpy(grid.positions[rows]))
    raw = torch.from_numpy(raw_windows(data, rows, window_hours=WINDOW))
    assert torch.equal(gathered, layer(raw))


def test_the_same_seed_gives_the_same_weights_to_the_byte(data: TrainingSet) -> None:
    assert weights(trained(data)) == weights(trained(data))
    assert weights(trained(data)) != weights(trained(data, seed=2))


def test_threads_that_train_at_once_do_not_mix_their_randomness(data: TrainingSet) -> None:
    """The walk-forward trains in worker threads, and torch has one random state for all of them."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        both = list(pool.map(lambda seed: weights(trained(data, seed=seed)), (1, 2)))
    assert both == [weights(trained(data, seed=1)), weights(trained(data, seed=2))]


def switches() -> tuple[int | bool, ...]:
    return (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
    )


def test_training_leaves_the_callers_randomness_and_threads_alone(data: TrainingSet) -> None:
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    before = switches()
    trained(data, epochs=1)
    assert switches() == before
    assert torch.equal(torch.rand(3), expected)


def test_kernels_are_deterministic_while_training() -> None:
    with repeatable(QUICK, seed=1) as device:
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == QUICK.threads
        assert device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_more_epochs_continue_what_fewer_began(data: TrainingSet) -> None:
    """So a refit for n epochs is what early stopping looked at when it chose n."""
    layer, hours = laid_out(data)
    grid = hour_grid(data.decision_time, window_hours=WINDOW)
    rows, stop = np.arange(200), np.arange(250, 380)

    def run(until: int | Lessons, schedule: TrainingSchedule = QUICK) -> Trained:
        return train(
            lambda: LstmNetwork(width=layer.width, hidden=4, layers=1, horizons=2, dropout=0.2),
            hours,
            make_lessons(data, grid, {5: rows, 12: rows}, return_scale=SCALE),
            loss=Loss(),
            schedule=schedule,
            seed=3,
            until=until,
        )

    validation = make_lessons(data, grid, {5: stop, 12: stop}, return_scale=SCALE)
    stopped = run(validation)
    assert stopped.epochs == 1 + int(np.argmin(stopped.validation_losses))
    assert weights(stopped) == weights(run(stopped.epochs))
    opposed = replace(validation, up=1 - validation.up)
    for patience in (1, 3):
        ended = run(opposed, replace(QUICK, patience_epochs=patience, max_epochs=30))
        assert len(ended.validation_losses) == ended.epochs + patience


def test_strided_epochs_in_a_row_take_every_lesson_once() -> None:
    random = torch.Generator().manual_seed(1)
    epochs = [lesson_order(103, epoch=epoch, stride=4, random=random).tolist() for epoch in range(1, 6)]
    assert sorted(lesson for epoch in epochs[:4] for lesson in epoch) == list(range(103))
    assert sorted(epochs[4]) == sorted(epochs[0]) != epochs[0]
    assert len(lesson_order(2, epoch=4, stride=4, random=random)) == 1, "fewer lessons than the stride"


def test_a_row_is_a_lesson_only_for_the_horizons_it_was_given_for(data: TrainingSet) -> None:
    grid = hour_grid(data.decision_time, window_hours=WINDOW)
    lessons = make_lessons(data, grid, {5: np.arange(10, 20), 12: np.arange(15, 18)}, return_scale=SCALE)
    assert lessons.taught.sum(dim=0).tolist() == [10.0, 3.0]
    assert lessons.positions.tolist() == grid.positions[10:20].tolist()
    answers = torch.zeros(10, 2, 1)
    summed, count = Loss().of(answers, lessons, slice(None))
    torch.testing.assert_close(summed, count * np.log(2))


def test_a_missing_target_teaches_nothing(data: TrainingSet) -> None:
    up = data.targets[5].up.copy()
    up[12] = np.nan
    holed = replace(data, targets={**data.targets, 5: replace(data.targets[5], up=up)})
    grid = hour_grid(data.decision_time, window_hours=WINDOW)
    lessons = make_lessons(holed, grid, {5: np.arange(20), 12: np.arange(20)}, return_scale=SCALE)
    assert lessons.taught[12].tolist() == [0.0, 1.0]
    assert torch.isfinite(lessons.up).all()


def test_the_pinball_loss_is_least_at_the_quantile(data: TrainingSet) -> None:
    """Source of the claim: Koenker and Bassett (1978)."""
    rows = np.arange(len(data.decision_time))
    grid = hour_grid(data.decision_time, window_hours=WINDOW)
    lessons = make_lessons(data, grid, {5: rows, 12: rows}, return_scale=SCALE)
    wanted = torch.quantile(lessons.scaled_return[:, 0], 0.9)

    def loss_at(value: torch.Tensor) -> float:
        answers = torch.zeros(len(rows), 2, 2)
        answers[..., 1] = value
        return float(Loss((0.9,), 1.0).of(answers, lessons, slice(None))[0][0])

    assert loss_at(wanted) < min(loss_at(wanted - 0.05), loss_at(wanted + 0.05))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_rows", 128),
        ("learning_rate", 0.003),
        ("weight_decay", 0.3),
        ("gradient_norm", 0.01),
        ("lesson_stride", 2),
    ],
)
def test_every_knob_of_a_step_changes_the_weights(data: TrainingSet, name: str, value: float) -> None:
    """Knobs that are declared and unused were found in published example projects."""
    assert weights(trained(data, **{name: value})) != weights(trained(data))

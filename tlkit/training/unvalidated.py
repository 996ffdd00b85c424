"""Train a head for a given number of epochs: no image is held out to choose the best of them."""

from __future__ import annotations

from collections.abc import Callable

from tlkit.errors import NumericsError
from tlkit.recipes import ResolvedStage, TrainingSettings
from tlkit.tasks import Outputs
from tlkit.training.batches import Batches
from tlkit.training.call_sizes import CallSizer
from tlkit.training.meters import Meter
from tlkit.training.moving_statistics import LastBatches, catch_up
from tlkit.training.schedules import Course
from tlkit.training.steps import StageModel, choose_xla_sizes, prepare_stage


def fit_to_the_end(
    model: StageModel,
    batches: Batches,
    *,
    outputs: Outputs,
    stage: ResolvedStage,
    training: TrainingSettings,
    advance: Callable[[int], None] = lambda count: None,
) -> None:
    """Train a head for all epochs of a stage and leave it as it is then; called inside `model.held()`.

    Steps are compiled once for all trainings of the same model.

    Args:
        model: The head, with the weights to begin with.
        batches: What to train on.
        outputs: Its outputs.
        stage: Epochs, rate and schedule; resolved.
        training: Seed, weight decay and losses.
        advance: Called with the number of images since the last call.

    Raises:
        NumericsError: The training loss is no longer a number.
    """
    rates = [stage.head_rate] * len(model.trainable_variables)
    xla_sizes = choose_xla_sizes(model, batches.plan, stage.epochs)
    _, steps = prepare_stage(model, rates, outputs=outputs, training=training, xla_sizes=xla_sizes)
    course, sizer, done = Course(stage, batches.num_batches), CallSizer(), 0
    for epoch in range(stage.epochs):
        meter, last = Meter(outputs), LastBatches()
        for block in batches.epoch(epoch):
            for chosen in sizer.split_steps(block.num_batches):
                factors = [course.factor(done + number) for number in range(chosen.start, chosen.stop)]
                meter.add(steps.train(block, chosen, factors))
                if not meter.loss_is_a_number:
                    raise NumericsError(
                        f"The training loss became NaN in epoch {epoch + 1} of a detector.",
                        expected="a finite loss",
                        fix="use another --backbone or --image-size, or --precision float32.",
                    )
                advance(int(block.edges[chosen.stop] - block.edges[chosen.start]))
            done += block.num_batches
            last.add(block)
    catch_up(steps, last, train_loss=meter.figures()["loss"], outputs=outputs)

from __future__ import annotations

from tlkit.runs.origin import describe_making


def test_a_command_with_very_many_files_is_shown_without_its_middle() -> None:
    names = [f"photos/raccoon-{number}.jpg" for number in range(100)]
    shown = describe_making(" ".join(["tlkit explain runs/first", *names, "--out explanations"]))["command"]
    assert shown == (
        "tlkit explain runs/first photos/raccoon-0.jpg photos/raccoon-1.jpg photos/raccoon-2.jpg photos/raccoon-3.jpg "
        "photos/raccoon-4.jpg … 89 more … photos/raccoon-94.jpg photos/raccoon-95.jpg photos/raccoon-96.jpg "
        "photos/raccoon-97.jpg photos/raccoon-98.jpg photos/raccoon-99.jpg --out explanations"
    )


def test_a_command_of_usual_length_is_shown_whole() -> None:
    command = "tlkit finetune photos/ --backbone resnet50 --unfreeze conv5 --epochs 10 --views 4 --out runs/second"
    assert describe_making(command)["command"] == command
    assert "command" not in describe_making(None)

"""The server as its clients see it: what it answers, and that it answers nothing else."""

from __future__ import annotations

import base64
import io
import json
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.serving.conftest import SPEC, WITH_METADATA, ColourModel, ServeModel, encode_image, wait_until
from tlkit.data.metadata_source import MetadataSource
from tlkit.errors import NumericsError
from tlkit.inference.files import predict_files
from tlkit.inference.tally import CollectedRows
from tlkit.serving.limits import Limits
from tlkit.serving.metrics import CONTENT_TYPE

RED, BLUE = encode_image("red"), encode_image("blue")


def error_of(response: httpx.Response) -> tuple[int, str]:
    """Return the status of a refusal, and what it found; every refusal says what to do."""
    error = response.json()["error"]
    assert error["expected"]
    assert error["fix"]
    return response.status_code, error["found"]


def test_a_form_bytes_and_json_give_the_rows_of_predict_to_the_bit(serve_model: ServeModel, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(RED)
    collected = CollectedRows()
    for file in predict_files(ColourModel(), [path], MetadataSource(SPEC.metadata, None), top_k=2):
        collected.write(file.prediction)
    expected = {key: value for key, value in collected.rows[0].items() if key != "path"}

    served = serve_model()
    form = served.client.post("/predict?top_k=2", files={"image": ("red.png", RED)})
    raw = served.client.post("/predict?top_k=2", content=RED, headers={"content-type": "image/png"})
    document = {"image": base64.b64encode(RED).decode()}
    encoded = served.client.post("/predict?top_k=2", json=document)
    several = served.client.post("/predict?top_k=2", json={"images": [document, document["image"]]})

    rows = [row for response in (form, raw, encoded, several) for row in response.json()["predictions"]]
    assert [{key: value for key, value in row.items() if key != "path"} for row in rows] == [expected] * 5
    assert [row["path"] for row in rows] == ["red.png", "image", "image 1", "image 1", "image 2"]
    assert expected["classes"][0]["class_name"] == "red"


def test_several_images_are_answered_in_their_order(serve_model: ServeModel) -> None:
    names = ["red", "blue", "green", "blue"]
    files = [("image", (f"{name}.png", encode_image(name))) for name in names]
    rows = serve_model().client.post("/predict", files=files).json()["predictions"]
    assert [row["classes"][0]["class_name"] for row in rows] == names


def test_metadata_come_with_the_form_the_address_or_json(serve_model: ServeModel) -> None:
    model = ColourModel(WITH_METADATA)
    served = serve_model(model)
    form = served.client.post("/predict", files={"image": ("a.png", RED)}, data={"weight": "3", "place": "sea"})
    raw = served.client.post("/predict?weight=3&place=sea", content=RED, headers={"content-type": "image/png"})
    document = {"image": base64.b64encode(RED).decode(), "metadata": {"weight": 3, "place": "sea"}}
    assert [form.status_code, raw.status_code] == [200, 200]
    assert served.client.post("/predict", json=document).status_code == 200
    expected = WITH_METADATA.metadata.encode([("3", "sea")])
    assert [asked.tolist() for asked in model.asked] == [expected.tolist()] * 3


def test_a_field_belongs_to_all_files_or_each_file_has_its_own(serve_model: ServeModel) -> None:
    model = ColourModel(WITH_METADATA)
    files = [("image", ("a.png", RED)), ("image", ("b.png", BLUE))]
    client = serve_model(model, threads=1).client
    assert client.post("/predict", files=files, data={"weight": ["1", "4"], "place": "lake"}).status_code == 200
    expected = WITH_METADATA.metadata.encode([("1", "lake"), ("4", "lake")])
    assert [asked[0].tolist() for asked in model.asked] == expected.tolist()
    refused = client.post("/predict", files=files, data={"weight": ["1", "4", "5"]})
    assert error_of(refused) == (400, "The form has 3 fields 'weight' and 2 files.")


def test_missing_and_odd_metadata_are_named_and_foreign_ones_refused(serve_model: ServeModel) -> None:
    client = serve_model(ColourModel(WITH_METADATA)).client
    answer = client.post("/predict", files={"image": ("a.png", RED)}, data={"place": "moon"}).json()
    assert answer["notices"] == [
        "weight: no value for some images, which counts as missing.",
        "place: 1 of 1 values were never seen in training and count as unknown (such as 'moon').",
    ]
    refused = client.post("/predict", files={"image": ("a.png", RED)}, data={"wieght": "3"})
    assert error_of(refused) == (400, "The request has a field 'wieght'.")
    assert refused.json()["error"]["expected"] == "metadata that the model takes: place, weight"


def test_an_unreadable_image_is_an_error_and_one_among_others_a_row(serve_model: ServeModel) -> None:
    client = serve_model().client
    alone = client.post("/predict", files={"image": ("a.png", b"no image")})
    assert error_of(alone) == (422, "The image cannot be read: not an image.")
    both = client.post("/predict", files=[("image", ("a.png", b"no image")), ("image", ("b.png", RED))])
    assert both.status_code == 200
    assert [row["error"] for row in both.json()["predictions"]] == ["not an image", None]
    assert both.json()["errors"] == 1


@pytest.mark.parametrize(
    ("content", "headers", "status", "found"),
    [
        (b"", {"content-type": "image/png"}, 400, "The request has no body."),
        (b"x", {}, 415, "The body has no type."),
        (b"x", {"content-type": "text/html"}, 415, "The body has the type 'text/html'."),
        (b"x", {"content-type": "image/png", "content-encoding": "gzip"}, 415, "The body is compressed."),
        (b"x", {"content-type": "multipart/form-data"}, 400, "The header Content-Type of the form has no valid boundary."),
        (b"--b\r\n", {"content-type": "multipart/form-data; boundary=b"}, 400, "The form is damaged: it ends within a part."),
        (b'{"image": 3}', {"content-type": "application/json"}, 400, "Image 1 is {'image': 3}."),
        (b'{"images": []}', {"content-type": "application/json"}, 400, "images is []."),
        (b"[" * 100_000, {"content-type": "application/json"}, 400, "The body is not JSON that tlkit reads: more than 4 levels deep."),
        (
            b'{"image": "http://127.0.0.1/a.png"}',
            {"content-type": "application/json"},
            400,
            """Image 1 is not base64: 'http://127.0.0.1/a.png'.""",
        ),
    ],
)  # fmt: skip
def test_a_body_that_is_something_else_is_refused_in_words(
    serve_model: ServeModel, content: bytes, headers: dict[str, str], status: int, found: str
) -> None:
    assert error_of(serve_model().client.post("/predict", content=content, headers=headers)) == (status, found)


@pytest.mark.parametrize("query", ["top_k=0", "top_k=-1", "top_k=x", "top_k=9999999", "top_k=1&top_k=2", "k=3"])
def test_a_query_that_is_something_else_is_refused(serve_model: ServeModel, query: str) -> None:
    response = serve_model().client.post(f"/predict?{query}", content=RED, headers={"content-type": "image/png"})
    assert error_of(response)[0] == 400


def test_other_paths_and_methods_are_refused_in_words(serve_model: ServeModel) -> None:
    client = serve_model().client
    assert error_of(client.get("/etc/passwd")) == (404, "GET '/etc/passwd': not found.")
    assert error_of(client.get("/predict")) == (405, "GET '/predict': method not allowed.")


def test_too_large_bodies_and_too_many_images_are_refused(serve_model: ServeModel) -> None:
    client = serve_model(limits=Limits(max_body_bytes=2**20, max_images=2)).client
    large = client.post("/predict", content=b"x" * (2**20 + 1), headers={"content-type": "image/png"})
    assert error_of(large) == (413, "The body has more than 1 MB.")
    chunked = client.post("/predict", content=(b"x" * 2**17 for _ in range(9)), headers={"content-type": "image/png"})
    assert error_of(chunked) == (413, "The body has more than 1 MB.")
    many = client.post("/predict", files=[("image", ("a.png", RED))] * 3)
    assert error_of(many) == (413, "The request has 3 images.")
    assert client.post("/predict", files=[("image", ("a.png", RED))] * 2).status_code == 200


def test_a_full_queue_is_refused_at_once_and_loses_nothing(serve_model: ServeModel) -> None:
    goes_on = threading.Event()
    served = serve_model(ColourModel(work=lambda: goes_on.wait(20)), threads=1, limits=Limits(max_waiting=1))
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(
            httpx.post(f"{served.address}/predict", files={"image": ("a.png", RED)}, timeout=20, verify=False)
        )

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: served.service.pool.num_running + served.service.pool.num_waiting == 2)
    refused = served.client.post("/predict", files={"image": ("a.png", RED)})
    goes_on.set()
    for thread in threads:
        thread.join(20)
    assert error_of(refused) == (503, "The queue is full.")
    assert int(refused.headers["retry-after"]) >= 1
    assert [answer.status_code for answer in answers] == [200, 200]
    assert served.service.pool.num_waiting == served.service.pool.num_running == 0


def test_an_answer_that_takes_too_long_is_given_up(serve_model: ServeModel) -> None:
    goes_on = threading.Event()
    served = serve_model(ColourModel(work=lambda: goes_on.wait(20)), limits=Limits(answer_seconds=0.1))
    response = served.client.post("/predict", files={"image": ("a.png", RED)})
    goes_on.set()
    assert error_of(response) == (503, "There was no answer after 0.1 s.")


def test_a_server_that_stops_finishes_what_runs(serve_model: ServeModel) -> None:
    goes_on = threading.Event()
    served = serve_model(ColourModel(work=lambda: goes_on.wait(20)), threads=1)
    answers: list[int] = []
    asking = threading.Thread(
        target=lambda: answers.append(
            httpx.post(
                f"{served.address}/predict", files={"image": ("a.png", RED)}, timeout=20, verify=False
            ).status_code
        )
    )
    asking.start()
    wait_until(lambda: served.service.pool.num_running == 1)
    stopping = threading.Thread(target=served.stop)
    stopping.start()

    def refuses() -> bool:
        try:
            return httpx.get(f"{served.address}/health", verify=False).status_code != 200
        except httpx.HTTPError:
            return True

    wait_until(refuses)
    assert answers == []
    goes_on.set()
    asking.join(20)
    stopping.join(20)
    assert answers == [200]


def test_a_bug_is_an_error_of_the_server_and_the_next_request_is_answered(
    serve_model: ServeModel, capfd: pytest.CaptureFixture[str]
) -> None:
    problems = [ZeroDivisionError("a bug")]

    def fail_once() -> None:
        if problems:
            raise problems.pop()

    client = serve_model(ColourModel(work=fail_once)).client
    assert error_of(client.post("/predict", files={"image": ("a.png", RED)})) == (500, "The server has failed.")
    assert client.post("/predict", files={"image": ("a.png", RED)}).status_code == 200
    written = ""

    def has_traceback() -> bool:
        nonlocal written
        written += capfd.readouterr().err
        return "ZeroDivisionError: a bug" in written

    wait_until(has_traceback)


def test_the_token_opens_all_and_without_it_only_the_health_is_told(serve_model: ServeModel) -> None:
    client = serve_model(token="s3cret-s3cret-s3cret").client
    assert client.get("/health").json() == {"status": "ok"}
    assert error_of(client.get("/info")) == (401, "The request has no token.")
    assert client.get("/info").headers["www-authenticate"] == "Bearer"
    wrong = client.post("/predict", content=RED, headers={"authorization": "Bearer s3cret"})
    assert error_of(wrong) == (401, "The request has another token.")
    assert client.get("/info", headers={"authorization": "Basic s3cret-s3cret-s3cret"}).status_code == 401
    assert client.get("/info", headers={"authorization": "Bearer s3cret-s3cret-s3cret"}).status_code == 200


def test_pages_of_others_cannot_use_a_server_on_this_machine(serve_model: ServeModel) -> None:
    client = serve_model().client
    assert error_of(client.get("/info", headers={"host": "evil.example:8000"}))[0] == 421
    assert error_of(client.get("/info", headers={"origin": "http://evil.example"}))[0] == 403
    assert error_of(client.get("/info", headers={"origin": "null"}))[0] == 403
    assert client.get("/info", headers={"origin": str(client.base_url)}).status_code == 200
    assert "access-control-allow-origin" not in client.get("/info").headers


def test_names_and_origins_can_be_allowed(serve_model: ServeModel) -> None:
    client = serve_model(allowed_hosts=("fish.example",), allowed_origins=("https://pond.example",)).client
    headers = {"host": "fish.example", "origin": "https://pond.example"}
    answer = client.get("/info", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://pond.example"
    asked = {**headers, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    assert client.options("/predict", headers=asked).status_code == 200


def test_the_metrics_count_requests_and_images(serve_model: ServeModel) -> None:
    client = serve_model().client
    client.post("/predict", files={"image": ("a.png", RED)})
    client.post("/predict", files={"image": ("a.png", b"no image")})
    client.get("/secret")
    answer = client.get("/metrics")
    assert answer.headers["content-type"] == CONTENT_TYPE
    lines = answer.text.splitlines()
    for line in (
        'tlkit_requests_total{route="/predict",status="200"} 1',
        'tlkit_requests_total{route="/predict",status="422"} 1',
        'tlkit_requests_total{route="other",status="404"} 1',
        'tlkit_request_seconds_bucket{route="/predict",le="+Inf"} 2',
        'tlkit_images_total{outcome="predicted"} 1',
        'tlkit_images_total{outcome="unreadable"} 1',
        "tlkit_queue_length 0",
        "tlkit_held_bytes 0",
    ):
        assert line in lines
    assert "secret" not in answer.text


def test_the_log_has_one_line_for_each_request_and_no_control_characters(serve_model: ServeModel) -> None:
    served = serve_model()
    served.client.get("/health")
    served.client.get("/a%0Ab")
    wait_until(lambda: len(served.log) == 2)
    assert [line.rpartition(" ")[0].rpartition(" ")[0] for line in served.log] == [
        "127.0.0.1 GET /health 200",
        "127.0.0.1 GET '/a\\nb' 404",
    ]


def test_the_description_names_what_the_model_takes_and_gives(serve_model: ServeModel) -> None:
    served = serve_model(ColourModel(WITH_METADATA))
    document = served.client.get("/openapi.json").json()
    predict = document["paths"]["/predict"]["post"]
    assert [parameter["name"] for parameter in predict["parameters"]] == ["top_k", "weight", "place"]
    schema = predict["responses"]["200"]["content"]["application/json"]["schema"]
    row = schema["properties"]["predictions"]["items"]["properties"]
    answered = served.client.post("/predict", files={"image": ("a.png", RED)}).json()["predictions"][0]
    assert row.keys() == answered.keys()
    explain = document["paths"]["/explain"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    explained = served.client.post("/explain?weight=3&place=sea", content=RED, headers={"content-type": "image/png"})
    assert set(explain["required"]) == set(explained.json())
    paths = set(document["paths"])
    assert {path for path in paths if served.client.get(path).status_code == 404} == set()


def test_names_of_files_are_repeated_and_never_used(serve_model: ServeModel, tmp_path: Path) -> None:
    name = "../../etc/passwd\u202e\x00<script>" + "x" * 300
    answer = serve_model().client.post("/predict", json={"image": base64.b64encode(RED).decode(), "name": name})
    assert answer.json()["predictions"][0]["path"] == name[:255]
    assert "\\u0000" in json.dumps(answer.json())


def test_an_explanation_has_the_prediction_and_the_picture(serve_model: ServeModel) -> None:
    client = serve_model().client
    predicted = client.post("/predict", files={"image": ("red.png", RED)}).json()["predictions"][0]
    answer = client.post("/explain", files={"image": ("red.png", RED)}).json()
    assert answer["prediction"] == predicted
    assert answer["size"] == [32, 40]
    assert answer["picture"].startswith("data:image/jpeg;base64,")
    assert answer["nearest"] == []
    two = client.post("/explain", files=[("image", ("a.png", RED)), ("image", ("b.png", BLUE))])
    assert error_of(two) == (400, "The request has 2 images.")
    broken = client.post("/explain", files={"image": ("a.png", b"no image")})
    assert error_of(broken) == (422, "The image cannot be read: not an image.")


def test_an_explanation_shows_where_the_evidence_is(serve_model: ServeModel) -> None:
    picture = Image.new("RGB", (64, 32), "blue")
    picture.paste((200, 0, 0), (0, 0, 40, 32))
    file = io.BytesIO()
    picture.save(file, "PNG")
    client = serve_model().client
    answer = client.post("/explain", content=file.getvalue(), headers={"content-type": "image/png"}).json()
    (explanation,) = answer["explanations"]
    assert explanation["output"] == answer["prediction"]["classes"][0]["class_name"] == "red"
    png = client.post("/explain", content=file.getvalue(), headers={"content-type": "image/png", "accept": "image/png"})
    assert png.headers["content-type"] == "image/png"
    assert base64.b64decode(explanation["map"].partition(",")[2]) == png.content
    drawn = np.asarray(Image.open(io.BytesIO(png.content))).astype(int)
    assert drawn.shape == (32, 64, 3)
    orange, other = drawn[16, 16], drawn[16, 60]
    assert orange[0] - orange[2] > 50 > other[0] - other[2]


def test_a_model_without_a_map_is_explained_without_one(
    serve_model: ServeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: ColourModel, images: object) -> None:
        raise NumericsError("no map", expected="a map", fix="none.")

    monkeypatch.setattr(ColourModel, "compute_maps", refuse)
    client = serve_model().client
    assert client.post("/explain", files={"image": ("red.png", RED)}).json()["explanations"] == []
    png = client.post("/explain", files={"image": ("red.png", RED)}, headers={"accept": "image/png"})
    assert error_of(png)[0] == 406

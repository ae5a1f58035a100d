"""The official OpenAI client against a running `ridgeline serve`, its answers held against
OpenAI's own schema where that is at hand.

    openai_client_test.py --serve PROGRAM MODEL      starts a server of its own
    RIDGELINE_BASE_URL=http://127.0.0.1:8080/v1 RIDGELINE_MODEL=name openai_client_test.py

RIDGELINE_API_KEY: the key, if the server wants one. RIDGELINE_OPENAPI: OpenAI's openapi.yaml.
RIDGELINE_TOOLS=0: the model's chat template has no tools. RIDGELINE_EMBEDDINGS=0: likewise.
"""

import base64
import json
import math
import os
import pathlib
import socket
import struct
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request

SKIPPED = 77  # what ctest takes for "skipped"
try:
    import openai
except ImportError:
    print("skipped: the Python package 'openai' is not installed")
    sys.exit(SKIPPED)
try:
    import jsonschema
    import yaml
except ImportError:
    jsonschema = None

HERE = pathlib.Path(__file__).resolve().parent
OPENAPI = os.environ.get("RIDGELINE_OPENAPI", HERE.parents[2] / "shared/data/openai/openapi.yaml")
TOOLS = os.environ.get("RIDGELINE_TOOLS", "1") == "1"
EMBEDDINGS = os.environ.get("RIDGELINE_EMBEDDINGS", "1") == "1"
BASE_URL = os.environ.get("RIDGELINE_BASE_URL", "")
MODEL = os.environ.get("RIDGELINE_MODEL", "")
KEY = os.environ.get("RIDGELINE_API_KEY", "none")


class Schemas:
    """Validates answers by the names that openapi.yaml has for them."""

    def __init__(self):
        self.root = None
        if jsonschema is None or not pathlib.Path(OPENAPI).exists():
            print("openapi.yaml or the package 'jsonschema' is absent: answers are not validated")
            return
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        with open(OPENAPI, encoding="utf-8") as file:
            self.root = self.as_json_schema(yaml.load(file, loader)["components"])

    def as_json_schema(self, node):
        if isinstance(node, list):
            return [self.as_json_schema(item) for item in node]
        if not isinstance(node, dict):
            return node
        node = {key: self.as_json_schema(value) for key, value in node.items()}
        if node.pop("nullable", False) is True:
            return {"anyOf": [node, {"type": "null"}]}
        # oneOf of shapes that overlap, with a discriminator to tell them apart.
        if "discriminator" in node:
            node.pop("discriminator")
        if "oneOf" in node:
            node["anyOf"] = node.pop("oneOf")
        return node

    def check_event(self, value):
        """An event of a response's stream, by the schema that has its type."""
        for name, schema in (self.root or {"schemas": {}})["schemas"].items():
            kind = schema.get("properties", {}).get("type", {})
            if kind.get("enum") == [value["type"]] and "sequence_number" in schema["properties"]:
                return self.check(value, name)
        if self.root is not None:
            raise AssertionError(f"openapi.yaml knows no event {value['type']}")

    def check(self, value, name):
        if self.root is None:
            return
        schema = {"$ref": f"#/components/schemas/{name}", "components": self.root}
        jsonschema.Draft202012Validator(schema).validate(value)


SCHEMAS = None


def raw(method, path, body=None, headers=None):
    """(status, headers, JSON or text), beside the client, for what it does not show."""
    url = BASE_URL.removesuffix("/v1") + path
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)
    request.add_header("Content-Type", "application/json")
    request.add_header("Authorization", "Bearer " + KEY)
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            status, headers, text = answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, headers, text = error.code, error.headers, error.read().decode()
    try:
        return status, headers, json.loads(text)
    except ValueError:
        return status, headers, text


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "enum": ["Rome", "Oslo"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 9},
            },
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}, "additionalProperties": False}}}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
HELLO = [{"role": "user", "content": "Tell me of the fire."}]


class ClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = openai.OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0, timeout=120)

    def chat(self, **options):
        options.setdefault("messages", HELLO)
        options.setdefault("max_tokens", 12)
        return self.client.chat.completions.create(model=MODEL, **options)

    def complete(self, **options):
        options.setdefault("prompt", "Once upon a time")
        options.setdefault("max_tokens", 8)
        return self.client.completions.create(model=MODEL, **options)


class Models(ClientTest):
    def test_list_and_one(self):
        models = self.client.models.list()
        self.assertIn(MODEL, [model.id for model in models.data])
        self.assertEqual(self.client.models.retrieve(MODEL).id, MODEL)
        SCHEMAS.check(raw("GET", "/v1/models")[2], "ListModelsResponse")
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("nothing/of-the-kind")

    def test_operations(self):
        for path in "/health", "/ready", "/version":
            self.assertEqual(raw("GET", path)[0], 200, path)
        self.assertIn("ridgeline:num_requests_running", raw("GET", "/metrics")[2])
        self.assertIsInstance(raw("GET", "/stats")[2], dict)


class Completions(ClientTest):
    def test_whole(self):
        answer = self.complete(temperature=0)
        SCHEMAS.check(answer.model_dump(mode="json", exclude_unset=True), "CreateCompletionResponse")
        self.assertEqual(answer.object, "text_completion")
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.completion_tokens, 8)

    def test_default_is_sixteen_tokens(self):
        answer = self.client.completions.create(model=MODEL, prompt="The", extra_body={"ignore_eos": True})
        self.assertEqual(answer.usage.completion_tokens, 16)

    def test_stream_is_the_same_text(self):
        whole = self.complete(temperature=0, max_tokens=20).choices[0].text
        stream = list(self.complete(temperature=0, max_tokens=20, stream=True, stream_options={"include_usage": True}))
        self.assertEqual("".join(chunk.choices[0].text for chunk in stream if chunk.choices), whole)
        self.assertEqual(stream[-1].usage.completion_tokens, 20)
        self.assertEqual(stream[-1].choices, [])

    def test_continuous_usage(self):
        chunks = list(self.complete(stream=True, stream_options={"include_usage": True, "continuous_usage_stats": True}))
        self.assertTrue(all(chunk.usage for chunk in chunks))

    def test_prompt_shapes(self):
        tokens = raw("POST", "/tokenize", {"model": MODEL, "prompt": "Once upon a time"})[2]["tokens"]
        texts = {
            self.complete(prompt=prompt, temperature=0).choices[0].text
            for prompt in ("Once upon a time", ["Once upon a time"], tokens, [tokens])
        }
        self.assertEqual(len(texts), 1)
        several = self.complete(prompt=["The", "Once upon a time", "A"], temperature=0)
        self.assertEqual([choice.index for choice in several.choices], [0, 1, 2])
        self.assertEqual(several.choices[1].text, texts.pop())

    def test_echo_and_logprobs(self):
        answer = self.complete(echo=True, logprobs=3, temperature=0, max_tokens=4)
        choice = answer.choices[0]
        self.assertTrue(choice.text.startswith("Once upon a time"))
        self.assertIsNone(choice.logprobs.token_logprobs[0])
        self.assertTrue(all(value <= 0 for value in choice.logprobs.token_logprobs[1:]))
        self.assertEqual(len(choice.logprobs.tokens), answer.usage.total_tokens)
        scored = self.complete(echo=True, logprobs=0, max_tokens=0)
        self.assertEqual(scored.choices[0].text, "Once upon a time")
        self.assertEqual(scored.usage.completion_tokens, 0)

    def test_n_and_best_of(self):
        answer = self.complete(n=3, temperature=1, seed=1)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1, 2])
        self.assertEqual(len(self.complete(n=2, best_of=4, temperature=1).choices), 2)

    def test_seed(self):
        texts = [self.complete(seed=seed, temperature=1.2, max_tokens=16).choices[0].text for seed in (5, 5, 6)]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])

    def test_stop(self):
        text = self.complete(temperature=0, max_tokens=24).choices[0].text
        stop = text[6:9]
        choice = self.complete(temperature=0, max_tokens=24, stop=[stop]).choices[0]
        self.assertEqual(choice.finish_reason, "stop")
        self.assertEqual(choice.text, text[: text.index(stop)])
        kept = self.complete(temperature=0, max_tokens=24, stop=stop, extra_body={"include_stop_str_in_output": True})
        self.assertEqual(kept.choices[0].text, text[: text.index(stop)] + stop)

    def test_logit_bias(self):
        token = self.complete(temperature=0, max_tokens=1, extra_body={"return_token_ids": True}).choices[0].token_ids[0]
        other = self.complete(
            temperature=0, max_tokens=1, logit_bias={str(token): -100}, extra_body={"return_token_ids": True}
        )
        self.assertNotEqual(other.choices[0].token_ids[0], token)

    def test_prompt_logprobs(self):
        answer = self.complete(extra_body={"prompt_logprobs": 2}, max_tokens=1)
        self.assertEqual(len(answer.choices[0].prompt_logprobs), answer.usage.prompt_tokens)
        self.assertIsNone(answer.choices[0].prompt_logprobs[0])

    def test_vllm_fields(self):
        answer = self.complete(
            extra_body={"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1, "min_tokens": 4, "ignore_eos": True,
                        "priority": 1, "timeout": 60, "cache_salt": "a", "skip_special_tokens": False,
                        "stop_token_ids": []},
        )
        self.assertEqual(answer.usage.completion_tokens, 8)

    def test_structured_outputs(self):
        choices = ["yes", "no"]
        for body in {"structured_outputs": {"choice": choices}}, {"guided_choice": choices}:
            self.assertIn(self.complete(extra_body=body).choices[0].text, choices)
        for body in {"structured_outputs": {"regex": "[0-9]{3}-x"}}, {"guided_regex": "[0-9]{3}-x"}:
            self.assertRegex(self.complete(extra_body=body, max_tokens=20).choices[0].text, "^[0-9]{3}-x$")
        grammar = 'root ::= "a" ("b" | "c")'
        for body in {"structured_outputs": {"grammar": grammar}}, {"guided_grammar": grammar}:
            self.assertIn(self.complete(extra_body=body).choices[0].text, ["ab", "ac"])
        text = self.complete(extra_body={"guided_json": PERSON}, max_tokens=600, temperature=0.5).choices[0].text
        self.assertEqual(set(json.loads(text)), {"name", "age"})

    def test_refused(self):
        for options in {"suffix": "x"}, {"best_of": 2, "stream": True}, {"n": 0}, {"temperature": -1}:
            with self.assertRaises(openai.BadRequestError) as caught:
                self.complete(**options)
            self.assertEqual(caught.exception.param, next(iter(options)))


class Chat(ClientTest):
    def test_whole(self):
        answer = self.chat(temperature=0)
        SCHEMAS.check(answer.model_dump(mode="json", exclude_unset=True), "CreateChatCompletionResponse")
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertIn(answer.choices[0].finish_reason, ("stop", "length"))

    def test_stream(self):
        whole = self.chat(temperature=0, max_tokens=24)
        content, usage, roles = "", None, []
        for chunk in self.chat(temperature=0, max_tokens=24, stream=True, stream_options={"include_usage": True}):
            SCHEMAS.check(chunk.model_dump(mode="json", exclude_unset=True), "CreateChatCompletionStreamResponse")
            if chunk.choices:
                delta = chunk.choices[0].delta
                content += delta.content or ""
                if delta.role:
                    roles.append(delta.role)
            usage = chunk.usage or usage
        self.assertEqual(content, whole.choices[0].message.content or "")
        self.assertEqual(roles, ["assistant"])
        self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)

    def test_logprobs(self):
        answer = self.chat(logprobs=True, top_logprobs=3, temperature=0)
        SCHEMAS.check(answer.model_dump(mode="json", exclude_unset=True), "CreateChatCompletionResponse")
        entries = answer.choices[0].logprobs.content
        self.assertTrue(all(len(entry.top_logprobs) == 3 for entry in entries))
        self.assertTrue(all(entry.logprob == entry.top_logprobs[0].logprob for entry in entries))
        self.assertEqual(b"".join(bytes(entry.bytes) for entry in entries).decode(errors="replace").strip(),
                         answer.choices[0].message.content.strip())
        streamed = []
        for chunk in self.chat(logprobs=True, top_logprobs=3, temperature=0, stream=True):
            if chunk.choices and chunk.choices[0].logprobs:
                streamed += chunk.choices[0].logprobs.content
        self.assertEqual([entry.token for entry in streamed], [entry.token for entry in entries])

    def test_n_streams_are_apart(self):
        texts = ["", "", ""]
        for chunk in self.chat(n=3, seed=3, stream=True):
            texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
        whole = self.chat(n=3, seed=3)
        self.assertEqual(texts, [choice.message.content or "" for choice in whole.choices])

    def test_messages(self):
        answer = self.chat(
            messages=[
                {"role": "system", "content": "Be short."},
                {"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "there"}]},
                {"role": "assistant", "content": "Hi."},
                {"role": "user", "content": "More.", "name": "Ann"},
            ],
            max_completion_tokens=5,
        )
        self.assertLessEqual(answer.usage.completion_tokens, 5)

    def test_json(self):
        answer = self.chat(
            response_format={"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": PERSON}},
            max_tokens=600, temperature=0.5,
        )
        person = json.loads(answer.choices[0].message.content)
        self.assertEqual(set(person), {"name", "age"})
        self.assertTrue(0 <= person["age"] <= 99)
        text = self.chat(response_format={"type": "text"}, temperature=0)
        self.assertEqual(text.choices[0].message.content, self.chat(temperature=0).choices[0].message.content)

    def test_json_object_begins_one(self):
        answer = self.chat(response_format={"type": "json_object"}, max_tokens=300)
        choice = answer.choices[0]
        self.assertTrue(choice.message.content.lstrip().startswith("{"))
        if choice.finish_reason == "stop":
            self.assertIsInstance(json.loads(choice.message.content), dict)

    def test_continue(self):
        answer = self.chat(
            messages=HELLO + [{"role": "assistant", "content": "The fire"}],
            extra_body={"continue_final_message": True, "add_generation_prompt": False, "echo": True},
        )
        self.assertTrue(answer.choices[0].message.content.startswith("The fire"))

    def test_cached_tokens(self):
        messages = [{"role": "user", "content": "A long story of the sea and the ships. " * 12}]
        self.chat(messages=messages)
        again = self.chat(messages=messages)
        self.assertGreater(again.usage.prompt_tokens_details.cached_tokens, 0)

    def test_penalties(self):
        self.chat(presence_penalty=1.5, frequency_penalty=-0.5, logit_bias={"5": 2}, user="me", seed=-3)

    def test_prediction(self):
        whole = self.chat(temperature=0, max_tokens=40, extra_body={"speculate": False})
        text = whole.choices[0].message.content
        answer = self.chat(temperature=0, max_tokens=40, prediction={"type": "content", "content": text})
        SCHEMAS.check(answer.model_dump(mode="json", exclude_unset=True), "CreateChatCompletionResponse")
        self.assertEqual(answer.choices[0].message.content, text)
        details = answer.usage.completion_tokens_details
        self.assertGreaterEqual(details.accepted_prediction_tokens, 0)
        self.assertGreaterEqual(details.rejected_prediction_tokens, 0)
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(prediction={"type": "content", "content": 7})
        self.assertEqual(caught.exception.param, "prediction.content")

    def test_refused(self):
        for name, value in {
            "audio": {"voice": "alloy", "format": "wav"}, "modalities": ["text", "audio"],
            "functions": [{"name": "f"}], "web_search_options": {}, "top_logprobs": 2, "store": True,
        }.items():
            with self.assertRaises(openai.BadRequestError) as caught:
                self.chat(**{name: value})
            self.assertEqual(caught.exception.param, name)
            SCHEMAS.check({"error": caught.exception.body}, "ErrorResponse")

    def test_context(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(max_tokens=10_000_000)
        self.assertEqual(caught.exception.code, "context_length_exceeded")


@unittest.skipUnless(TOOLS, "the model's chat template has no tools")
class Tools(ClientTest):
    def check_call(self, name, arguments):
        self.assertEqual(name, "get_weather")
        values = json.loads(arguments)
        self.assertIn(values["city"], ("Rome", "Oslo"))
        self.assertIn(values["days"], range(1, 10))

    def test_named(self):
        choice = {"type": "function", "function": {"name": "get_weather"}}
        answer = self.chat(tools=[WEATHER, CLOCK], tool_choice=choice, max_tokens=600)
        SCHEMAS.check(answer.model_dump(mode="json", exclude_unset=True), "CreateChatCompletionResponse")
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        self.assertIsNone(answer.choices[0].message.content)
        (call,) = answer.choices[0].message.tool_calls
        self.check_call(call.function.name, call.function.arguments)

    def test_streamed(self):
        choice = {"type": "function", "function": {"name": "get_weather"}}
        whole = self.chat(tools=[WEATHER], tool_choice=choice, max_tokens=600, temperature=0)
        names, ids, arguments, reasons = [], [], "", []
        for chunk in self.chat(tools=[WEATHER], tool_choice=choice, max_tokens=600, temperature=0, stream=True):
            SCHEMAS.check(chunk.model_dump(mode="json", exclude_unset=True), "CreateChatCompletionStreamResponse")
            for call in chunk.choices[0].delta.tool_calls or []:
                names += [call.function.name] if call.function.name else []
                ids += [call.id] if call.id else []
                arguments += call.function.arguments or ""
            reasons += [chunk.choices[0].finish_reason] if chunk.choices[0].finish_reason else []
        self.assertEqual(names, ["get_weather"])
        self.assertEqual(len(ids), 1)
        self.assertEqual(arguments, whole.choices[0].message.tool_calls[0].function.arguments)
        self.assertEqual(reasons, ["tool_calls"])

    def test_required(self):
        answer = self.chat(tools=[WEATHER, CLOCK], tool_choice="required", max_tokens=600, parallel_tool_calls=False)
        self.assertIn(answer.choices[0].message.tool_calls[0].function.name, ("get_weather", "get_time"))

    def test_auto_and_none(self):
        for choice in "auto", "none":
            self.chat(tools=[WEATHER], tool_choice=choice)

    def test_results_go_back(self):
        self.chat(
            messages=HELLO
            + [
                {"role": "assistant", "content": None, "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome", "days": 1}'}}]},
                {"role": "tool", "tool_call_id": "call_1", "content": "Sunny."},
            ],
            tools=[WEATHER],
        )

    def test_responses(self):
        tool = {"type": "function", **WEATHER["function"]}
        answer = self.client.responses.create(
            model=MODEL, input="Weather?", tools=[tool], max_output_tokens=600, tool_choice={"type": "function", "name": "get_weather"}
        )
        (call,) = answer.output
        self.check_call(call.name, call.arguments)
        for event in self.client.responses.create(
            model=MODEL, input="Weather?", tools=[tool], max_output_tokens=600, tool_choice="required", stream=True
        ):
            SCHEMAS.check_event(event.model_dump(mode="json", exclude_unset=True))
        followed = self.client.responses.create(
            model=MODEL, tools=[tool], max_output_tokens=16,
            input=[{"role": "user", "content": "Weather?"},
                   {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
                   {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny."}],
        )
        self.assertIn(followed.status, ("completed", "incomplete"))


class Responses(ClientTest):
    def respond(self, **options):
        return self.client.responses.create(model=MODEL, input="Tell me of the sea.", max_output_tokens=16, **options)

    def test_whole(self):
        answer = self.respond(temperature=0, instructions="Be short.", metadata={"a": "b"})
        SCHEMAS.check(answer.model_dump(mode="json", exclude_unset=True), "Response")
        self.assertTrue(answer.output_text)
        self.assertEqual(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens)

    def test_stream(self):
        whole = self.respond(temperature=0)
        text, types = "", []
        for number, event in enumerate(self.respond(temperature=0, stream=True)):
            SCHEMAS.check_event(event.model_dump(mode="json", exclude_unset=True))
            self.assertEqual(event.sequence_number, number)
            types.append(event.type)
            if event.type == "response.output_text.delta":
                text += event.delta
        self.assertEqual(text, whole.output_text)
        self.assertEqual(types[0], "response.created")
        self.assertIn(types[-1], ("response.completed", "response.incomplete"))

    def test_format(self):
        answer = self.client.responses.create(
            model=MODEL, input=[{"role": "user", "content": [{"type": "input_text", "text": "Who?"}]}], max_output_tokens=600, temperature=0.5,
            text={"format": {"type": "json_schema", "name": "person", "schema": PERSON}},
        )
        self.assertEqual(set(json.loads(answer.output_text)), {"name", "age"})

    def test_logprobs(self):
        answer = self.respond(include=["message.output_text.logprobs"], top_logprobs=2)
        self.assertEqual(len(answer.output[-1].content[0].logprobs[0].top_logprobs), 2)

    def test_refused(self):
        for name, value in {"previous_response_id": "resp_1", "store": True, "background": True, "truncation": "auto"}.items():
            with self.assertRaises(openai.BadRequestError) as caught:
                self.respond(**{name: value})
            self.assertEqual(caught.exception.param, name)


@unittest.skipUnless(EMBEDDINGS, "the server does not embed")
class Embeddings(ClientTest):
    def test_encodings_agree(self):
        floats = self.client.embeddings.create(model=MODEL, input=["one", "two"], encoding_format="float")
        SCHEMAS.check(floats.model_dump(mode="json", exclude_unset=True), "CreateEmbeddingResponse")
        default = self.client.embeddings.create(model=MODEL, input=["one", "two"])
        for one, other in zip(floats.data, default.data):
            self.assertAlmostEqual(math.sqrt(sum(x * x for x in one.embedding)), 1, places=4)
            for a, b in zip(one.embedding, other.embedding):
                self.assertAlmostEqual(a, b, places=6)
        text = raw("POST", "/v1/embeddings", {"model": MODEL, "input": "one", "encoding_format": "base64"})[2]
        values = base64.b64decode(text["data"][0]["embedding"])
        self.assertAlmostEqual(struct.unpack("<f", values[:4])[0], floats.data[0].embedding[0], places=5)

    def test_tokens_and_dimensions(self):
        tokens = raw("POST", "/tokenize", {"model": MODEL, "prompt": "one"})[2]["tokens"]
        of_text = self.client.embeddings.create(model=MODEL, input="one", dimensions=8).data[0].embedding
        of_tokens = self.client.embeddings.create(model=MODEL, input=[tokens], dimensions=8).data[0].embedding
        self.assertEqual(len(of_text), 8)
        for a, b in zip(of_text, of_tokens):
            self.assertAlmostEqual(a, b, places=6)


class Tokens(ClientTest):
    def test_there_and_back(self):
        status, _, answer = raw("POST", "/tokenize", {"model": MODEL, "prompt": "Wörter und 中", "add_special_tokens": False, "return_token_strs": True})
        self.assertEqual(status, 200)
        self.assertEqual(answer["count"], len(answer["token_strs"]))
        back = raw("POST", "/detokenize", {"model": MODEL, "tokens": answer["tokens"]})[2]
        self.assertEqual(back["prompt"], "Wörter und 中")
        self.assertEqual(raw("POST", "/tokenize", {"content": "Wörter und 中"})[2]["tokens"], answer["tokens"])
        self.assertGreater(raw("POST", "/tokenize", {"model": MODEL, "messages": HELLO})[2]["count"], 3)


class Errors(ClientTest):
    def test_bodies(self):
        for body in b"", b"[]", b"{", b"[" * 100_000, b'{"a": "\xff"}', b'{"max_tokens": NaN}':
            status, _, answer = raw("POST", "/v1/completions", body)
            self.assertEqual(status, 400, body[:20])
            self.assertEqual(answer["error"]["type"], "invalid_request_error")

    def test_places(self):
        self.assertEqual(raw("GET", "/v1/nothing")[0], 404)
        self.assertEqual(raw("GET", "/v1/completions")[0], 405)
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.completions.create(model="other", prompt="x")
        self.assertEqual(caught.exception.code, "model_not_found")

    def test_a_client_that_goes_away(self):
        stream = self.complete(max_tokens=200, stream=True, extra_body={"ignore_eos": True})
        next(iter(stream))
        stream.close()
        deadline = time.time() + 20
        while time.time() < deadline:
            if raw("GET", "/metrics")[2].count("\nridgeline:num_requests_running") and self.running() == 0:
                return
            time.sleep(0.2)
        self.fail("the request runs on although its client is gone")

    def running(self):
        for line in raw("GET", "/metrics")[2].splitlines():
            if line.startswith("ridgeline:num_requests_running"):
                return float(line.split()[-1])
        return 0


def serve(program, model):
    """A server on a free port, and the function that ends it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [program, "serve", "-m", model, "--port", str(port), "--served-model-name", "test",
         "--chat-template", str(HERE / "tools.jinja"), "-c", "2048"],
        stdout=subprocess.DEVNULL, stderr=None,
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(300):
        if process.poll() is not None:
            sys.exit(f"{program} serve ended with {process.returncode}")
        try:
            urllib.request.urlopen(url + "/ready", timeout=5)
            return url + "/v1", process
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    process.kill()
    sys.exit(f"{program} serve is not ready after 30 seconds")


def main():
    global BASE_URL, MODEL, SCHEMAS
    process = None
    arguments = sys.argv[1:]
    if arguments[:1] == ["--serve"]:
        BASE_URL, process = serve(arguments[1], arguments[2])
        MODEL = "test"
        arguments = arguments[3:]
    if not BASE_URL:
        print("skipped: neither --serve PROGRAM MODEL nor RIDGELINE_BASE_URL is given")
        sys.exit(SKIPPED)
    MODEL = MODEL or openai.OpenAI(base_url=BASE_URL, api_key=KEY).models.list().data[0].id
    SCHEMAS = Schemas()
    try:
        program = unittest.main(argv=[sys.argv[0], *arguments], exit=False)
    finally:
        if process is not None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                sys.exit("the server did not end within 30 seconds of SIGTERM")
    sys.exit(0 if program.result.wasSuccessful() else 1)


if __name__ == "__main__":
    main()

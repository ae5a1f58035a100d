"""`ridgeline serve` as a process: signals, keys read again, TLS, an address that is taken.

serve_test.py PROGRAM MODEL; Python's standard library only. Exits with 77 where a thing it needs is
not there.
"""

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM, MODEL = sys.argv[1:3]


class Server:
    """A server on a free port; what it writes is in `lines`."""

    def __init__(self, *arguments):
        command = [PROGRAM, "serve", "-m", MODEL, "-t", "2", "--port", "0", *arguments]
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stderr=self.log, stdout=subprocess.DEVNULL)
        self.port = int(self.wait_for("listening on").rsplit(":", 1)[1])

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def wait_for(self, words, seconds=60):
        end = time.time() + seconds
        while time.time() < end:
            for line in self.text().splitlines():
                if words in line:
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no line with '{words}' in:\n{self.text()}")

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def post(self, body, headers={}):
        connection = self.connect()
        connection.request("POST", "/v1/completions", json.dumps(body), headers)
        return connection.getresponse()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


LONG = {"prompt": "Once", "max_tokens": 25000, "ignore_eos": True, "stream": True}


class Serve(unittest.TestCase):
    def serve(self, *arguments):
        server = Server(*arguments)
        self.addCleanup(server.end)
        return server

    def test_sigterm_lets_streams_finish(self):
        server = self.serve("-c", "4096")
        answer = server.post(dict(LONG, max_tokens=4000))
        self.assertIn(b"data: ", answer.readline())
        server.process.send_signal(signal.SIGTERM)
        rest = answer.read()
        self.assertIn(b"[DONE]", rest)
        self.assertEqual(server.process.wait(30), 0)
        self.assertIn("drafts: up to 16 tokens by lookup, recent, exact rule\n", server.text())
        self.assertRegex(server.text(), r"drafts: \d+ of \d+ tokens accepted .* a pass, an estimated")

    def test_without_drafters(self):
        server = self.serve("--speculate", "off")
        self.assertIn("drafts: none\n", server.text())
        usage = json.load(server.post({"prompt": "Once", "max_tokens": 4}))["usage"]
        self.assertNotIn("speculation", usage)

    def test_a_second_sigterm_stops_at_once(self):
        server = self.serve("-c", "30000")
        answer = server.post(LONG)
        self.assertIn(b"data: ", answer.readline())
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining")
        time.sleep(0.2)
        self.assertIsNone(server.process.poll())
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(10), 0)

    def test_what_does_not_drain_in_time_is_ended(self):
        server = self.serve("-c", "30000", "--drain-timeout", "0.5")
        answer = server.post(LONG)
        self.assertIn(b"data: ", answer.readline())
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(10), 0)

    def test_sighup_reads_the_keys_again(self):
        with tempfile.TemporaryDirectory() as folder:
            keys = os.path.join(folder, "keys")

            def write(text):
                with open(keys, "w", encoding="utf-8") as file:
                    file.write(text)
                os.chmod(keys, 0o600)

            def status(key):
                body = {"prompt": "Once", "max_tokens": 1}
                return server.post(body, {"Authorization": "Bearer " + key}).status

            write("alice sk-0123456789abcdef\n")
            server = self.serve("--api-keys", keys)
            self.assertEqual(status("sk-0123456789abcdef"), 200)
            self.assertEqual(status("sk-fedcba9876543210"), 401)
            write("bob sk-fedcba9876543210\n")
            server.process.send_signal(signal.SIGHUP)
            server.wait_for("read again")
            self.assertEqual(status("sk-0123456789abcdef"), 401)
            self.assertEqual(status("sk-fedcba9876543210"), 200)
            write("bob short\n")
            server.process.send_signal(signal.SIGHUP)
            server.wait_for("stay as they were")
            self.assertEqual(status("sk-fedcba9876543210"), 200)

    def test_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
            made = subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
                 "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key,
                 "-out", certificate], capture_output=True)
            if made.returncode != 0:
                self.skipTest("openssl does not make a certificate")
            server = self.serve("--tls-cert", certificate, "--tls-key", key, "--host", "127.0.0.1")
            context = ssl.create_default_context(cafile=certificate)
            connection = http.client.HTTPSConnection("localhost", server.port, context=context)
            connection.request("GET", "/health")
            self.assertEqual(connection.getresponse().status, 200)

    def test_an_address_that_is_taken_is_a_sentence(self):
        server = self.serve()
        second = subprocess.run([PROGRAM, "serve", "-m", MODEL, "--port", str(server.port)],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(second.returncode, 1)
        self.assertIn(f"127.0.0.1:{server.port}", second.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], warnings="ignore")

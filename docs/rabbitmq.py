"""Stores a job for a task written in Rust, and prints its result.

    rabbitmq.py [URL [PREFIX]]
"""

import json
import sys
import uuid

import pika

url = sys.argv[1] if len(sys.argv) > 1 else "amqp://guest:guest@localhost/%2f"
prefix = sys.argv[2] if len(sys.argv) > 2 else "hereafter"

connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.confirm_delivery()  # publishing returns when the job is stored
replies = channel.queue_declare("", exclusive=True).method.queue

job = str(uuid.uuid4())
envelope = {"hereafter": 1, "task": "shop::total", "args": {"prices": [2, 3], "copies": 4}}
channel.basic_publish(
    exchange="",
    routing_key=f"{prefix}.1.ready.default.0",  # queue `default`, priority 0
    body=json.dumps(envelope),
    properties=pika.BasicProperties(
        content_type="application/json",
        delivery_mode=2,  # survives a restart of the server
        message_id=job,
        type=envelope["task"],
        reply_to=replies,
        correlation_id=job,
    ),
    mandatory=True,  # an error if no Rust program has declared the queue yet
)

for method, properties, body in channel.consume(replies, auto_ack=True, inactivity_timeout=30):
    if method is None:
        sys.exit("no worker has answered within 30 s")
    if properties.correlation_id == job:
        break

if properties.type != "done":
    failure = json.loads(properties.headers.get("failure", '{"message": "no reason given"}'))
    sys.exit(f"the job is {properties.type}: {failure['message']}")
print(json.loads(body))

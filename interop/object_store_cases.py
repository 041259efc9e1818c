# SPDX-License-Identifier: Apache-2.0
"""Blocks in a bucket, against an S3 server of its own (moto)."""

import os
import subprocess

import peers
from stack import ROOT, free_port, wait_for

BUCKET = """
import sys, boto3
s3 = boto3.client("s3", endpoint_url=sys.argv[1], aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
s3.create_bucket(Bucket="foreglow")
s3.put_object(Bucket="foreglow", Key="probe", Body=b"1")
try:
    s3.put_object(Bucket="foreglow", Key="probe", Body=b"2", IfNoneMatch="*")
except Exception as error:
    assert "Precondition" in str(error), error
else:
    sys.exit("the server overwrites in spite of If-None-Match")
"""


def s3(stack):
    """The contract of object stores over S3: whole objects, conditional puts, uploads in parts, ranges."""
    python, port = peers.python("moto", ["moto[server]==5.2.5"]), free_port()
    endpoint = f"http://127.0.0.1:{port}"
    stack.start("moto", [python.parent / "moto_server", "-H", "127.0.0.1", "-p", str(port)])
    wait_for("moto", lambda: subprocess.run([python, "-c", BUCKET, endpoint], capture_output=True).returncode == 0)
    done = subprocess.run(
        ["cargo", "test", "-q", "-p", "store", "--features", "s3", "--lib", "a_bucket_does_alike"],
        capture_output=True, text=True, timeout=1800, cwd=ROOT, env=os.environ | {"FOREGLOW_S3_ENDPOINT": endpoint},
    )
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout[-6000:] + done.stderr[-2000:]
    return "the contract of object stores holds in a bucket; If-None-Match is honoured"


ALL = [s3]

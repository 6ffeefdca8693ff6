"""A Celery worker as a process of its own."""

import contextlib
import os
import subprocess
import sys
import tempfile

from harness import RUN, WAIT_SECONDS, equal


def hostname(app):
    return f"interop-{app}-{RUN}@localhost"


@contextlib.contextmanager
def running(app, queues, processes):
    """A worker for the module that holds the application, without gossip and mingle: it is alone."""
    arguments = [sys.executable, "-m", "celery", "-A", app, "worker", f"--queues={','.join(queues)}",
                 f"--concurrency={processes}", "--loglevel=INFO", f"--hostname={hostname(app)}",
                 "--without-gossip", "--without-mingle"]
    with tempfile.TemporaryFile("w+") as log:
        worker = subprocess.Popen(arguments, cwd=os.path.dirname(os.path.abspath(__file__)), stdout=log,
                                  stderr=subprocess.STDOUT, env=os.environ | {"C_FORCE_ROOT": "1"})
        try:
            yield
            worker.terminate()  # a warm shutdown: it finishes and leaves
            equal("the worker leaves in good order", worker.wait(2 * WAIT_SECONDS), 0)
        except BaseException:
            log.seek(0)
            print(log.read())
            raise
        finally:
            worker.kill()
            worker.wait()

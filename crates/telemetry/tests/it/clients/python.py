# An app that has its address and nothing else.
import os

import sentry_sdk

sentry_sdk.init(dsn=os.environ["SENTRY_DSN"], release="shop@1.2.3")
sentry_sdk.set_tag("request_id", "req-python")


def ship(order):
    raise ValueError(f"no address for order {order}")


try:
    ship(4711)
except ValueError as error:
    sentry_sdk.capture_exception(error)
sentry_sdk.flush(timeout=5)

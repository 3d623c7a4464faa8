#!/bin/sh
# Starts workerd so that the kernel ends it with the process that started it.
exec setpriv --pdeathsig KILL "$BODEGA_WORKERD_BINARY" "$@"

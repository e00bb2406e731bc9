"""An account behind asyncssh's own SFTP server: what people write who need a server of their own in a few lines.

    asyncssh_server.py DIRECTORY PORT

DIRECTORY holds `host_ed25519`, `authorized_keys`, `password` and the account's files in `files`; the account is `acme` and
sees `files` as `/`. Everything said goes to stderr. The server ends when its stdin does, so that it never outlives the test.
"""

import asyncio
import hmac
import logging
import pathlib
import sys

import asyncssh


class Door(asyncssh.SSHServer):
    """Lets `acme` in: by password here, by key through `authorized_client_keys`."""

    def __init__(self, password):
        self.password = password

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return username == "acme" and hmac.compare_digest(password.encode(), self.password.encode())


async def main(directory, port):
    files = str(directory / "files").encode()
    password = (directory / "password").read_text().strip()
    await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=lambda: Door(password),
        server_host_keys=[str(directory / "host_ed25519")],
        authorized_client_keys=str(directory / "authorized_keys"),
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=files),
        reuse_address=True,
    )
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    asyncio.run(main(pathlib.Path(sys.argv[1]), int(sys.argv[2])))

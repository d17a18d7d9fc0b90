"""Names that hold secrets, and names of ordinary code that look a little like them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from indexer import Gate, IndexSettings
from indexer.files import Skipped, walk
from indexer.rules import Rules
from indexer.secret_names import SecretNames

SECRETS = """
.env .ENV .env~ .env.local .env-prod .env_staging .env.bak .env.production.old prod.env docker.env .envrc .dev.vars
.#.env #.env# .env.swp .env.swo .env.save .env.orig .env.1 .env.20240101 ".env copy"
kubeconfig kubeconfig.yaml kubeconfig-prod prod.kubeconfig .kubeconfig.swp .kube/config deploy/.kube/cache/x.json
.docker/config.json home/.docker/config.json .dockercfg .dockerconfigjson
service-account.json service-account-prod.json service_account.json my-service-account.json serviceAccountKey.json
application_default_credentials.json shop-firebase-adminsdk-x1.json google-services.json gcp-key.json
client_secret_123.json credentials.json "credentials (1).json" aws_credentials.json credentials.csv rootkey.csv
accessKeys.csv prod.tfvars prod.tfvars.json terraform.tfstate terraform.tfstate.backup .terraformrc
.npmrc .npmrc.bak .yarnrc .yarnrc.yml .pypirc pip.conf pip.ini auth.json .composer/auth.json .netrc _netrc .authinfo
.git-credentials .config/gh/hosts.yml .config/gcloud/access_tokens.db .config/gcloud/configurations/config_default
.cargo/credentials.toml .gem/credentials .m2/settings.xml settings-security.xml .bundle/config
.bash_history .zsh_history .python_history .mysql_history .psql_history .node_repl_history .viminfo
.htpasswd .pgpass pgpass.conf .my.cnf .s3cfg .boto .databrickscfg clouds.yaml prod-openrc.sh
id_rsa id_rsa.bak id_ed25519 id_ecdsa.old deploy_rsa ssh_host_ed25519_key .ssh/config .ssh/known_hosts .SSH/authorized
server.pem server.pem.bak SERVER.PEM server.key tls.key~ cert.p12 cert.pfx AuthKey.p8 release.jks release.keystore
krb5.keytab vault.kdbx client.ovpn key.ppk backup.gpg secring.gpg .gnupg/trustdb .aws/config .azure/x.json
.vault-token .vault_pass.txt vault_password secrets.json secrets.yaml secrets.yml.bak secrets.toml
.streamlit/secrets.toml prod.secrets.yaml .secrets passwords.txt credentials .credentials credentials.xml
wp-config.php LocalSettings.php
hudson.util.secret local.settings.json azure.publishsettings kaggle.json .kaggle/x huggingface/token sftp-config.json
.vscode/sftp.json cookies.sqlite logins.json key4.db "Login Data" wallet.dat config/master.key
"""

ORDINARY = """
keys.py secrets.py env.py credentials.py auth.py token.py tokens.py password.py passwords.py vault.py history.py
tokenizer.json environment.yml config.json package.json settings.json secret_santa.py key.ts keys.ts keymap.json
credentials/__init__.py secrets/manager.py credentials/store.ts auth/index.js auth.ts oauth.json environment.py
environment.ts dotenv.js env.d.ts .envoy.yaml envs.py gcloud/client.py aws/config.py kube/config.yaml ssh/config.py
docker/config.json .github/workflows/ci.yml .eslintrc.json tsconfig.json pyproject.toml setup.cfg .gitignore .npmignore
monkey.py turnkey.md hotkeys.json service_account.py service-accounts.md kubernetes/deployment.yaml admin.conf
settings.xml hosts.yml sftp.json public.crt openapi.json cookies.py wallet.py test_credentials.py id.py identity.py
_netrc/x.json .env.20240101/cache _netrc/x.json/.env.20240101/cache .pypirc/distutils.log
rsa.py dsa.go parse_rsa.py wg.conf irc.conf hub notes.old main.py.bak main.py~ index.html.orig copy.py a.1 libssl.so.1
"""


def names(table: str) -> list[str]:
    quoted = table.split('"')
    return [name for part in quoted[::2] for name in part.split()] + quoted[1::2]


@pytest.mark.parametrize("name", names(SECRETS))
def test_secret_names(tmp_path, name):
    rules = Rules(tmp_path)
    assert rules.why_not(name) == "secret"
    assert rules.why_not(f"deep/down/{name}") == "secret"


@pytest.mark.parametrize("name", names(ORDINARY))
def test_names_of_ordinary_code_are_no_secrets(tmp_path, name):
    assert Rules(tmp_path).why_not(name) is None


def test_there_are_enough_names():
    assert len(names(SECRETS)) > 140
    assert len(names(ORDINARY)) > 70


@pytest.mark.parametrize("folder", [".kube", ".aws", ".ssh", ".gnupg", ".config/gcloud", ".ssh/keys/old"])
def test_a_secret_folder_is_secret_also_when_it_is_opened_itself(tmp_path, folder):
    root = tmp_path / folder
    root.mkdir(parents=True)
    (root / "config").write_text("token: 1\n")
    assert Rules(root).why_not("config") == "secret"
    assert set(walk(root, Rules(root), IndexSettings())) == {Skipped("config", "secret")}
    assert Gate().refusal(root, root / "config") == "secret"
    assert Gate().refusal(tmp_path / "elsewhere", root / "config") == "secret"


def test_files_are_judged_by_their_folder_wherever_the_root_is(tmp_path):
    root = tmp_path / ".docker"
    root.mkdir()
    assert Rules(root).why_not("config.json") == "secret"
    assert Rules(root).why_not("other.json") is None


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.private", "a/x.private"),
        ("Deploy/*.yml", "deploy/x.yml"),
        ("vaults/", "a/vaults/x.py"),
        ("!x", "!x"),
    ],
)
def test_what_users_add(tmp_path, pattern, path):
    rules = Rules(tmp_path, IndexSettings(secrets=(pattern, "!.env", "!*")))
    assert rules.why_not(path) == "secret"
    assert rules.why_not(".env") == "secret"
    assert rules.why_not("x.py") is None


def test_hostile_names_and_patterns_take_no_time():
    hostile = SecretNames(["*.a" + "*a" * 100 + "b"])
    began = time.perf_counter()
    for name in (
        "." + "a" * 250,
        "a" * 250,
        ".bak" * 60,
        "~" * 250,
        "#" * 250,
        "(" * 250,
        ".swp" * 60,
        "." * 250,
    ):
        assert not hostile.has(name.encode(), False)
    assert time.perf_counter() - began < 0.5


def test_a_link_is_judged_by_where_it_leads(tmp_path: Path):
    root = tmp_path / "root"
    (root / "build").mkdir(parents=True)
    for name in ("root/.env", "root/build/x.py", "outside.py", "id_rsa", "root/plain.py"):
        (tmp_path / name).write_text("x = 1\n")
    verdicts = {}
    links = (
        ("e", ".env"),
        ("b", "build/x.py"),
        ("o", "../outside.py"),
        ("k", "../id_rsa"),
        ("p", "plain.py"),
    )
    for name, target in links:
        (root / f"{name}.py").symlink_to(root / target)
        verdicts[name] = Rules(root).why_not_file(root / f"{name}.py")
    assert verdicts == {"e": "secret", "b": "ignored", "o": "outside of the folder", "k": "secret", "p": None}
    assert Rules(root).why_not_file(root / "plain.py") is None
    assert Rules(root).why_not_file(Path("/nowhere/a\0b")) == "outside of the folder"

import json
import stat
from pathlib import Path

from deploy.credentials import ensure_audit_key, ensure_keys, ensure_passwords, passwords_file
from deploy.layout import Layout
from deploy.services import environment
from tasks.stores.store import Store


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_user_gets_a_password_of_their_own(tmp_path: Path) -> None:
    passwords = ensure_passwords(tmp_path / "airflow")
    assert set(passwords) == {"admin", "ana", "sam", "max", "eve"}
    assert len(set(passwords.values())) == 5
    assert all(len(password) >= 16 for password in passwords.values())


def test_passwords_stay_and_a_lost_one_alone_is_made_anew(tmp_path: Path) -> None:
    first = ensure_passwords(tmp_path)
    assert ensure_passwords(tmp_path) == first
    passwords_file(tmp_path).write_text(json.dumps({**first, "eve": ""}))
    again = ensure_passwords(tmp_path)
    assert again["eve"] not in {"", first["eve"]}
    assert {**again, "eve": first["eve"]} == first


def test_nobody_else_may_read_passwords_and_keys(tmp_path: Path) -> None:
    airflow = tmp_path / "airflow"
    ensure_passwords(airflow)
    ensure_keys(airflow)
    assert mode(airflow) == 0o700
    assert {mode(file) for file in airflow.iterdir()} == {0o600}


def test_a_file_that_was_opened_to_others_is_closed_again(tmp_path: Path) -> None:
    ensure_passwords(tmp_path)
    passwords_file(tmp_path).chmod(0o644)
    ensure_passwords(tmp_path)
    assert mode(passwords_file(tmp_path)) == 0o600


def test_the_parts_share_their_keys(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path)
    one, two = environment(layout), environment(layout)
    assert one["AIRFLOW__API_AUTH__JWT_SECRET"] == two["AIRFLOW__API_AUTH__JWT_SECRET"] != ""


def test_a_process_of_the_home_signs_with_the_key_that_was_drawn_for_it(tmp_path: Path) -> None:
    file = Layout(tmp_path, tmp_path).audit_key
    assert Store.open(tmp_path).audit_key is None
    ensure_audit_key(file)
    drawn = file.read_text()
    ensure_audit_key(file)
    assert Store.open(tmp_path).audit_key == bytes.fromhex(drawn)
    assert (len(drawn.strip()), mode(file), mode(file.parent)) == (64, 0o600, 0o700)

"""Logins of production: Airflow's FAB, with reviewers known by the user names that surface.yaml holds.

FAB numbers its users and compares those numbers with whom an approval is for. ``AIRFLOW__CORE__AUTH_MANAGER``
is ``dags.login.NamedFabAuthManager`` where it is used; nothing else imports this file, nor FAB.
"""

from typing import Any

from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager


class NamedFabAuthManager(FabAuthManager):
    """FAB, whose approvals are for user names. Only an administrator can give or change those."""

    def is_authorized_hitl_task(self, *, assigned_users: set[str], user: Any) -> bool:
        """Whether the user may answer an approval that is for these user names."""
        return user.get_name() in assigned_users

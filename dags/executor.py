"""The executor of one machine: Airflow's LocalExecutor, whose workers hold the steps' modules.

``AIRFLOW__CORE__EXECUTOR`` is ``dags.executor.PreloadingLocalExecutor`` where it is used.
"""

from airflow.executors.local_executor import LocalExecutor

from dags.preload import preload


class PreloadingLocalExecutor(LocalExecutor):
    """LocalExecutor, which loads the steps' modules before it forks its workers."""

    def start(self) -> None:
        """Load the modules, where workers are forked, and start the workers."""
        if self.is_mp_using_fork:
            preload()
        super().start()

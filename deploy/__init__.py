"""Airflow and MLflow on this machine for `make up` and `make demo`, and what docker-compose.yml runs.

::

    __main__       up | down | status | demo | airflow: the make verbs, and Airflow's own command line
    layout         home, ports and inherited environment of one installation
    credentials    logins, passwords and keys
    services       the seven processes as data: command, environment, health check
    supervisor     starts, records, asks and stops them
    airflow_api    the calls of Airflow's REST API that are needed
    follow         the progress of a run, line by line
    demo           `make demo`
    compose        .env, preparation, logins and health checks of docker-compose.yml

It speaks to Airflow by REST and to the operating system by processes, and is not part of the wheel.
"""

"""The three error styles as psycopg and SQLAlchemy report them."""

import json

import psycopg
import sqlalchemy as sa
from harness import raises, test
from sqlalchemy_orm import engine


def run(sql, style="native"):
    with engine.begin() as db:
        db.execute(sa.text(f"SET LOCAL raceguard.error_style = '{style}'"))
        db.execute(sa.text(sql))


# One statement for each error of raceguard's own, and the status a PostgREST client gets.
ERRORS = {
    "RG409": (409, "UPDATE orders SET address = 'x', version = 9"),
    "RG428": (428, "UPDATE orders SET address = 'x'"),
    "RG404": (404, """SELECT raceguard.compare_and_swap('orders', '{"id"\\: 99}', 1, '{"address"\\: "x"}')"""),
    "RG403": (409, "INSERT INTO posts VALUES (1, 42), (2, 42)"),
    "RG429": (429, "INSERT INTO reports VALUES (1, 42, now()), (2, 42, now())"),
    "RG422": (422, """SELECT raceguard.take('stock', '{"id"\\: 1}', 'quantity', 4)"""),
}


@test
def native_errors_keep_their_code():
    for code, (_, sql) in ERRORS.items():
        error = raises(sa.exc.DatabaseError, lambda sql=sql: run(sql))
        assert error.orig.sqlstate == code, error
        assert error.orig.diag.message_detail and error.orig.diag.message_hint


@test
def integrity_errors_are_integrity_errors():
    for code, (_, sql) in ERRORS.items():
        error = raises(sa.exc.IntegrityError, lambda sql=sql: run(sql, "integrity"))
        assert isinstance(error.orig, psycopg.IntegrityError)
        assert error.orig.sqlstate == "23" + code.replace("RG4", "R"), error


@test
def postgrest_errors_are_what_postgrest_parses():
    for code, (status, sql) in ERRORS.items():
        native = raises(sa.exc.DatabaseError, lambda sql=sql: run(sql)).orig.diag
        error = raises(sa.exc.ProgrammingError, lambda sql=sql: run(sql, "postgrest")).orig
        assert error.sqlstate == "PGRST"
        body, response = json.loads(error.diag.message_primary), json.loads(error.diag.message_detail)
        assert set(body) == {"code", "message", "details", "hint"}, body
        assert (body["code"], body["message"]) == (code, native.message_primary), body
        assert body["hint"] == native.message_hint or code == "RG429", body
        assert set(response) == {"status", "headers"} and response["status"] == status, response
        if code == "RG429":
            assert 604_700 <= int(response["headers"]["Retry-After"]) <= 604_800, response
        else:
            assert response["headers"] == {}, response

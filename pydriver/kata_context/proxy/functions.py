"""The functions of a shard, read from its catalog, and those of a proxy that follow from them."""

import re
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from kata_context.migrate.files import sql_root
from kata_context.proxy.routes import Route, route_of

CATALOG = """
select p.proname::text, p.provolatile::text, p.proretset, pg_get_function_arguments(p.oid),
  pg_get_function_identity_arguments(p.oid), pg_get_function_result(p.oid), p.prorettype::regtype::text,
  p.prosrc,
  coalesce(p.proargnames, '{}'),
  coalesce(p.proargmodes::text[], array_fill('i'::text, array[p.pronargs::integer])),
  array(
    select format_type(t.oid, null)
    from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality t(oid, place)
    order by t.place),
  obj_description(p.oid, 'pg_proc'),
  array(
    select a.grantee::regrole::text
    from aclexplode(p.proacl) a
    where a.grantee <> p.proowner and a.grantee::regrole::text ~ '^kata_(reader|writer|admin|service)$'
    order by 1)
from pg_catalog.pg_proc p
where p.pronamespace = 'kata'::regnamespace
order by p.proname"""
VOLATILITY = {"i": "immutable", "s": "stable", "v": "volatile"}
# Sent with the tenant and the caller, and read again by the shard before anything else.
ENTER = "kata_data.enter(($1)[1], ($1)[2], ($1)[3]::boolean, ($1)[4]::uuid, ($1)[5]::timestamptz, {writes}) e"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter or a column of a result."""

    name: str
    mode: str
    type: str
    place: int

    @property
    def wire(self) -> str:
        """The type in which it travels: PL/Proxy knows no multiranges."""
        return "text" if "multirange" in self.type else self.type

    @property
    def quoted(self) -> str:
        return f'"{self.name}"'


@dataclass(frozen=True, slots=True)
class Function:
    """A function of schema kata, as a shard has it."""

    parameters: tuple[Parameter, ...]
    comment: str
    roles: tuple[str, ...]
    name: str
    volatility: str
    returns_set: bool
    arguments: str
    identity: str
    result: str
    type: str
    source: str

    @property
    def given(self) -> list[Parameter]:
        return [p for p in self.parameters if p.mode in "ibv"]

    @property
    def columns(self) -> list[Parameter]:
        return [p for p in self.parameters if p.mode in "obt"]

    @property
    def writes(self) -> bool:
        return self.volatility == "v"

    @property
    def route(self) -> Route:
        return route_of(self.name, [p.name for p in self.given])


def read_functions(connection: psycopg.Connection[Any]) -> list[Function]:
    """Return the functions of a shard, by name."""
    found = []
    for row in connection.cursor(row_factory=tuple_row).execute(CATALOG):
        facts, (names, modes, types, comment, roles) = row[:8], row[8:]
        named = [*names, *[""] * (len(types) - len(names))]
        parameters = tuple(map(Parameter, named, modes, types, range(1, len(types) + 1)))
        found.append(Function(parameters, comment, tuple(roles), *facts))
    return found


def proxy_sql(functions: list[Function]) -> str:
    """Return the SQL that makes a proxy's schemas and its functions in place of those that are there."""
    folder = sql_root() / "proxy"
    parts = [(folder / "proxy.sql").read_text("utf-8"), _DROP]
    # Functions call each other whose turn comes later.
    parts += ["set local check_function_bodies = off;\n", (folder / "names.sql").read_text("utf-8")]
    for function in functions:
        route = function.route
        if route.kind not in ("local", "refused") and function.name not in (
            "current_tenant",
            "assign_tenant",
        ):
            parts.append(_remote(function, on_all=False))
            if route.on_all:
                parts.append(_remote(function, on_all=True))
        parts.append(_public(function, route))
    return "\n".join([*parts, _OWN])


_DROP = """
do $$
declare
  v_function regprocedure;
begin
  for v_function in
    select p.oid
    from pg_catalog.pg_proc p
    where p.pronamespace in ('kata'::regnamespace, 'kata_px'::regnamespace)
      or p.pronamespace = 'kata_proxy'::regnamespace and p.proname ~ '_name$'
  loop
    execute 'drop function ' || v_function;
  end loop;
end
$$;
"""


# The language is not a trusted one, so a superuser makes the functions, and hands them over.
_OWN = """
do $$
declare
  v_function regprocedure;
begin
  for v_function in
    select p.oid
    from pg_catalog.pg_proc p
    where p.pronamespace in ('kata'::regnamespace, 'kata_px'::regnamespace, 'kata_proxy'::regnamespace)
  loop
    execute format('alter function %s owner to kata_owner', v_function);
    execute format('revoke execute on function %s from public', v_function);
  end loop;
end
$$;
"""


def _remote(function: Function, *, on_all: bool) -> str:
    """Return the PL/Proxy function that sends a call with tenant and caller, to one shard or to all."""
    first = 2 if on_all else 3
    given = [f"a{number} {p.wire}" for number, p in enumerate(function.given, 1)]
    sent = ", ".join(
        f"${number}" + (f"::{p.type}" if p.wire != p.type else "")
        for number, p in enumerate(function.given, first)
    )
    call = f'kata."{function.name}"({sent})'
    enter = ENTER.format(writes=str(function.writes).lower())
    if function.columns and function.returns_set:
        result = f"table ({', '.join(f'{p.quoted} {p.wire}' for p in function.columns)})"
        shown = ", ".join(_as_wire("r", p) for p in function.columns)
        # The condition comes first in every plan: a function that starts before it has no tenant.
        query = (
            f"select {shown} from {enter} cross join lateral (select f.* from {call} f where e offset 0) r"
        )
    elif on_all and function.type == "void":
        result = "setof integer"
        query = f"select 1 from {enter} cross join lateral (select {call} where e offset 0) r"
    else:
        result = f"setof {function.type}" if on_all else function.type
        query = f"select {call} from {enter} where e"
    if "claim_name" in function.route.text:
        # Again after the work, which may have waited for a lock.
        if not function.returns_set:
            query = f"select r.made from (select {call} as made from {enter} where e offset 0) r"
        query += " where kata_data.is_in_time(($1)[5]::timestamptz)"
    name = f"{function.name}_on_all" if on_all else function.name
    parameters = ", ".join(["who_ text[]", *([] if on_all else ["shard_ integer"]), *given])
    target = "all" if on_all else "shard_"
    return (
        f'create function kata_px."{name}"({parameters}) returns {result} language plproxy as $px$\n'
        f"  cluster 'kata'; run on {target};\n  {query};\n$px$;\n"
    )


def _public(function: Function, route: Route) -> str:
    """Return the function that clients call, with its comment and its grants."""
    language = "sql" if route.kind == "local" else "plpgsql"
    head = (
        f'create function kata."{function.name}"({function.arguments}) returns {function.result}\n'
        f"language {language} {VOLATILITY[function.volatility]} security definer "
        "set search_path = pg_catalog, pg_temp"
    )
    body = function.source if route.kind == "local" else _guarded(function, route)
    identity = f'kata."{function.name}"({function.identity})'
    parts = [f"{head} as $kata${body}$kata$;"]
    if function.comment:
        parts.append(f"comment on function {identity} is {_literal(function.comment)};")
    if function.roles:
        parts.append(f"grant execute on function {identity} to {', '.join(function.roles)};")
    return "\n".join([*parts, ""])


def _guarded(function: Function, route: Route) -> str:
    """Return the body of a public function: its statements, again while a shard moves.

    A write on all shards is not sent again, because some may have done it: the first rows would be lost.
    """
    can_wait = not (function.writes and route.on_all)
    shard = "kata_proxy.shard_of($1)" if route.kind == "id" else "null"
    facts = f"{can_wait}, {not function.writes}, {shard}".lower()
    return f"""
#variable_conflict use_variable
declare
  v_since timestamptz;
  v_state text;
  v_message text;
  v_detail text;
  v_hint text;
begin
  loop
    begin
{_statements(function, route)}
    exception
      when others then
        get stacked diagnostics
          v_state = returned_sqlstate, v_message = message_text,
          v_detail = pg_exception_detail, v_hint = pg_exception_hint;
        v_since := kata_proxy.wait_or_refuse(v_since, {facts}, v_state, v_message, v_detail, v_hint);
    end;
  end loop;
end
"""


def _statements(function: Function, route: Route) -> str:
    columns = ", ".join(_as_own("x", p) for p in function.columns) or "x"
    if route.kind == "refused":
        return f"perform kata_proxy.refuse_spanning({_literal(function.name)});"
    if route.kind == "body":
        text = route.text.replace("{columns}", columns).replace("{select}", f"select {columns}")
        return re.sub(
            r"\{call ([^{}|]+?)(?: \| ([^{}]+))?\}", lambda found: _call(function, *found.groups()), text
        )
    if route.kind == "all":
        return f"return query select {columns} from {_call(function, 'all')} x {route.text};\nreturn;"
    # PL/pgSQL numbers columns of a result, too.
    places = [f"${p.place}" for p in function.given]
    wanted = [places[int(number) - 1] for number in re.findall(r"\$(\d+)", route.text)]
    shard = {
        "any": "kata_proxy.any_shard()",
        "id": f"kata_proxy.shard_of({', '.join(wanted)})",
        "pair": f"kata_proxy.same_shard({', '.join(wanted)})",
    }[route.kind]
    call = _call(function, shard)
    if function.returns_set:
        return f"return query select {columns} from {call} x;\nreturn;"
    return f"perform {call};\nreturn;" if function.type == "void" else f"return {call};"


def _call(function: Function, shard: str, who: str | None = None) -> str:
    """Return the call of a PL/Proxy function with all that was given; shard: an expression, or all."""
    name = f"{function.name}_on_all" if shard == "all" else function.name
    sender = [who or "kata_proxy.who()", *([] if shard == "all" else [shard])]
    given = [f"${p.place}" + ("::text" if p.wire != p.type else "") for p in function.given]
    return f'kata_px."{name}"({", ".join([*sender, *given])})'


def _as_wire(alias: str, parameter: Parameter) -> str:
    cast = f"::text as {parameter.quoted}" if parameter.wire != parameter.type else ""
    return f"{alias}.{parameter.quoted}{cast}"


def _as_own(alias: str, parameter: Parameter) -> str:
    cast = f"::{parameter.type}" if parameter.wire != parameter.type else ""
    return f"{alias}.{parameter.quoted}{cast}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

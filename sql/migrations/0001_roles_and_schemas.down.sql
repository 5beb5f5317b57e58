-- kata: destructive
-- Removes the schemas. The roles belong to the cluster: they are dropped only if no other database uses them.

drop table kata_data.contract;
drop table kata_data.function_file;
drop table kata_data.migration;
drop collation kata_data.c_utf8;
drop schema kata_data;
drop schema kata;

set local role kata_owner;
alter default privileges grant execute on functions to public;
alter default privileges grant usage on types to public;
reset role;

-- All or none: a role that owns nothing here may still have members or privileges elsewhere.
do $$
begin
  drop role kata_proxy, kata_service, kata_admin, kata_writer, kata_reader, kata_eraser, kata_owner;
exception
  when dependent_objects_still_exist or insufficient_privilege then
    raise notice 'the roles stay: other objects depend on them';
end
$$;

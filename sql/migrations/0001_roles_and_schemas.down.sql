-- kata: destructive
-- Removes the schemas. The roles belong to the cluster: each goes only if no other database uses it.

drop table kata_data.function_file;
drop table kata_data.migration;
drop schema kata_data;
drop schema kata;

set local role kata_owner;
alter default privileges grant execute on functions to public;
reset role;

do $$
declare
  v_role text;
begin
  foreach v_role in array array['kata_service', 'kata_admin', 'kata_writer', 'kata_reader', 'kata_eraser', 'kata_owner'] loop
    begin
      execute format('drop role %I', v_role);
    exception
      when dependent_objects_still_exist or insufficient_privilege then
        raise notice 'role % stays: other objects depend on it', v_role;
    end;
  end loop;
end
$$;

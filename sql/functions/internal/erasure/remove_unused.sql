-- Profiles of requests and lists of tools that nothing names any more. Both hold texts of a tenant.
--
-- A transaction that is about to name one holds it FOR KEY SHARE, and takes another where it would have to wait, so none goes away under it.
-- One that is held is left to the next purge.

create or replace function kata_data.remove_unused_profiles(tenant text) returns void
language plpgsql volatile
as $$
declare
  v_profiles bigint[];
begin
  v_profiles := array(
    select p.profile_id
    from kata_data.request_profile p
    where p.tenant = remove_unused_profiles.tenant
      and not exists (select from kata_data.request r where r.profile_id = p.profile_id)
    for update skip locked);
  -- Looked at again under the locks: what named one in the meantime has committed.
  delete from kata_data.request_profile p
  where p.profile_id = any (v_profiles)
    and not exists (select from kata_data.request r where r.profile_id = p.profile_id);
end
$$;
comment on function kata_data.remove_unused_profiles(text) is
'Removes the profiles of a tenant that no request names. Runs as kata_eraser. Cost: O(profiles of the tenant).';

create or replace function kata_data.remove_unused_tools(tenant text) returns void
language plpgsql volatile
as $$
declare
  v_lists bigint[];
begin
  v_lists := array(
    select t.list_id
    from kata_data.tool_list t
    where t.tenant = remove_unused_tools.tenant
      and not kata_data.are_tools_used(t)
    for update skip locked);
  delete from kata_data.tool_list t
  where t.list_id = any (v_lists)
    and not kata_data.are_tools_used(t);
end
$$;
comment on function kata_data.remove_unused_tools(text) is
'Removes the lists of tools of a tenant that neither a profile nor a view names. Runs as kata_eraser. Cost: O(lists of the tenant).';

create or replace function kata_data.are_tools_used(list kata_data.tool_list) returns boolean
language plpgsql volatile
as $$
begin
  return exists (
    select from kata_data.request_profile p where p.tenant = list.tenant and p.tools_digest = list.digest)
    or exists (select from kata_data.view_change c where c.kind = 'tools' and c.tools_digest = list.digest);
end
$$;
comment on function kata_data.are_tools_used(kata_data.tool_list) is
'Whether a profile or a change of the view names a list of tools. Volatile: it sees what has been committed since.';

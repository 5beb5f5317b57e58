-- Defense in depth: whatever a function forgets, rows of another tenant stay invisible. The sub-select makes the tenant a constant of
-- the query instead of a call per row.

drop policy if exists context_of_tenant on kata_data.context;
create policy context_of_tenant on kata_data.context
  using ((select kata_data.current_tenant()) = any (array[tenant, '*']))
  with check ((select kata_data.current_tenant()) = any (array[tenant, '*']));

drop policy if exists model_of_tenant on kata_data.embedding_model;
create policy model_of_tenant on kata_data.embedding_model
  using ((select kata_data.current_tenant()) = any (array[tenant, '*']))
  with check ((select kata_data.current_tenant()) = any (array[tenant, '*']));

drop policy if exists tool_list_of_tenant on kata_data.tool_list;
create policy tool_list_of_tenant on kata_data.tool_list
  using ((select kata_data.current_tenant()) = any (array[tenant, '*']))
  with check ((select kata_data.current_tenant()) = any (array[tenant, '*']));

drop policy if exists profile_of_tenant on kata_data.request_profile;
create policy profile_of_tenant on kata_data.request_profile
  using ((select kata_data.current_tenant()) = any (array[tenant, '*']))
  with check ((select kata_data.current_tenant()) = any (array[tenant, '*']));

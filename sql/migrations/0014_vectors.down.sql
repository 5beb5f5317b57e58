-- An index on embeddings goes with the type that it is made of.
do $$
declare
  v_index text;
begin
  if not exists (select from pg_attribute a where a.attrelid = 'kata_data.embedding'::regclass and a.attname = 'embedding' and a.atttypid <> 'real[]'::regtype) then
    return;
  end if;
  for v_index in
    select i.indexrelid::regclass::text from pg_index i where i.indrelid = 'kata_data.embedding'::regclass and not i.indisprimary
  loop
    execute format('drop index %s', v_index);
  end loop;
  alter table kata_data.embedding alter column embedding type real[] using embedding::real[];
  alter table kata_data.embedding alter column embedding set storage main;
end
$$;

-- What a database is for: its label, which commands that destroy ask for.

create table kata_data.environment (
  is_set boolean default true constraint environment_pkey primary key constraint environment_is_one check (is_set),
  label text not null constraint environment_label_length check (length(label) between 1 and 63),
  set_at timestamptz not null,
  set_by name not null
);
comment on table kata_data.environment is 'The environment that this database belongs to, production for example: one row, or none where it has no label.';

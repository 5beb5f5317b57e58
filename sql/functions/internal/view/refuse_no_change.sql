-- The error of a view change without effect.

create or replace function kata_data.refuse_no_change(detail text) returns void
language plpgsql stable
as $$
begin
  raise exception using
    errcode = 'KC017',
    message = 'nothing would change',
    detail = detail,
    hint = 'List the view with kata.messages, and earlier changes with kata.history.';
end
$$;
comment on function kata_data.refuse_no_change(text) is 'Refuses a view change without effect. KC017.';

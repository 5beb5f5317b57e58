-- Estimates tokens without a tokenizer, for callers who give no counts. Called per text and hot: no regular expression, no set
-- clause. It looks at bytes only, so the result is the same under every locale.
--
-- The UTF-8 bytes become one bit string, and shifts and ands classify all of them at once: letter, digit, mark, space, control
-- character, first byte of a longer character. A class lives in the top bit of each byte; bits & (bits >> 8) are the bytes whose
-- neighbour on the left is of the class too; bit_count counts. 0x40 to 0x7f all pass as letters: [ ] _ { } begin a token much as
-- a capital does. Two weighted sums follow, one for prose and code, one for dense text (JSON, logs, base64, ids); the larger counts.
--
-- The weights, in thousandths of a token, are from a linear program over some 10,000 texts with exact counts of o200k_base: least
-- mean excess, with a text that falls short weighing 12 to 1,200 times as much. tests/test_estimates.py holds the bounds.
-- Known to lie outside of them: other languages in Latin letters than English, German, French, Spanish and Portuguese (one message
-- in five or six is below), Russian (half above), nonsense of lower-case letters or of marks (below).

create or replace function kata_data.estimate_tokens(content text) returns integer
language plpgsql immutable strict parallel safe
as $$
declare
  v_bytes bytea := convert_to(content, 'UTF8');
  v_length integer := octet_length(v_bytes);
  v_offset integer := 1;
  v_bits varbit;
  v_mask varbit;
  v_high varbit;
  v_bit5 varbit;
  v_bit4 varbit;
  v_bit3 varbit;
  v_bit2 varbit;
  v_bit1 varbit;
  v_bit0 varbit;
  v_low varbit;
  v_letter varbit;
  v_upper varbit;
  v_start varbit;
  v_rest varbit;
  v_control varbit;
  v_digit varbit;
  v_space varbit;
  v_spaces varbit;
  v_mark varbit;
  v_marks varbit;
  v_lead varbit;
  v_three varbit;
  v_letter_count bigint;
  v_upper_count bigint;
  v_start_count bigint;
  v_start_after_mark bigint;
  v_upper_after_letter bigint;
  v_upper_after_upper bigint;
  v_digit_count bigint;
  v_digit_after_digit bigint;
  v_digit_after_space bigint;
  v_mark_count bigint;
  v_mark_after_mark bigint;
  v_mark_after_three bigint;
  v_mark_after_seven bigint;
  v_control_count bigint;
  v_control_after_control bigint;
  v_control_after_mark bigint;
  v_space_count bigint;
  v_space_after_space bigint;
  v_space_after_two bigint;
  v_lead_count bigint;
  v_accent_count bigint;
  v_three_count bigint;
  v_four_count bigint;
  v_indic_count bigint;
  v_kana_count bigint;
  v_hangul_count bigint;
  v_wide_count bigint;
  v_prose bigint;
  v_dense bigint;
  v_total bigint := 0;
begin
  if v_length = 0 then
    return 0;
  end if;
  while v_offset <= v_length loop
    -- Pieces of 8 kB stay in the processor's cache.
    v_bits := ('x' || encode(substring(v_bytes from v_offset for 8192), 'hex'))::varbit;
    v_mask := substring(('x' || repeat('80', 8192))::varbit from 1 for length(v_bits));
    v_bit5 := v_bits << 2;
    v_bit4 := v_bits << 3;
    v_bit3 := v_bits << 4;
    v_bit2 := v_bits << 5;
    v_bit1 := v_bits << 6;
    v_bit0 := v_bits << 7;

    v_high := v_bits & v_mask;
    v_lead := (v_bits << 1) & v_mask;
    v_letter := v_lead & ~v_high;
    v_upper := v_letter & ~v_bit5;
    v_start := v_letter & ~(v_letter >> 8);
    v_rest := v_mask # (v_high | v_letter);
    v_control := v_rest & ~v_bit5;
    v_rest := v_rest # v_control;
    v_low := v_bit2 | v_bit1;
    v_digit := v_rest & v_bit4 & ~(v_bit3 & v_low);
    v_rest := v_rest # v_digit;
    v_mark := v_rest & (v_low | v_bit4 | v_bit3 | v_bit0);
    v_space := v_rest # v_mark;
    v_spaces := v_space & (v_space >> 8);
    v_marks := v_mark & (v_mark >> 8);

    v_letter_count := bit_count(v_letter);
    v_upper_count := bit_count(v_upper);
    v_start_count := bit_count(v_start);
    v_start_after_mark := bit_count(v_start & (v_rest >> 8));
    v_upper_after_letter := bit_count(v_upper & (v_letter >> 8));
    v_upper_after_upper := bit_count(v_upper & (v_upper >> 8));
    v_digit_count := bit_count(v_digit);
    v_digit_after_digit := bit_count(v_digit & (v_digit >> 8));
    v_digit_after_space := bit_count(v_digit & (v_space >> 8));
    v_mark_count := bit_count(v_mark);
    v_mark_after_mark := bit_count(v_marks);
    v_marks := v_marks & (v_marks >> 16);
    v_mark_after_three := bit_count(v_marks);
    v_mark_after_seven := bit_count(v_marks & (v_marks >> 32));
    v_control_count := bit_count(v_control);
    v_control_after_control := bit_count(v_control & (v_control >> 8));
    v_control_after_mark := bit_count(v_control & (v_mark >> 8));
    v_space_count := bit_count(v_space);
    v_space_after_space := bit_count(v_spaces);
    v_space_after_two := bit_count(v_spaces & (v_space >> 16));

    v_prose := 2043
      + 171 * v_letter_count + 589 * v_start_count - 390 * v_start_after_mark
      + 323 * v_upper_count + 652 * v_upper_after_letter - 973 * v_upper_after_upper
      + 962 * v_digit_count - 591 * v_digit_after_digit - 462 * v_digit_after_space
      + 1001 * v_mark_count - 973 * v_mark_after_mark + 514 * v_mark_after_three - 526 * v_mark_after_seven
      + 1384 * v_control_count - 1105 * v_control_after_control - 1535 * v_control_after_mark
      + 146 * v_space_count + 1393 * v_space_after_space - 1534 * v_space_after_two;
    v_dense := 1770
      + 80 * v_letter_count + 1087 * v_start_count - 340 * v_start_after_mark
      - 97 * v_upper_count + 1942 * v_upper_after_letter - 1571 * v_upper_after_upper
      + 1549 * v_digit_count - 1619 * v_digit_after_digit + 1916 * v_digit_after_space
      + 409 * v_mark_count + 381 * v_mark_after_mark - 613 * v_mark_after_three - 1022 * v_mark_after_seven
      + 1933 * v_control_count - 1726 * v_control_after_control - 381 * v_control_after_mark
      - 165 * v_space_count + 1577 * v_space_after_space - 1412 * v_space_after_two;

    if bit_count(v_high) > 0 then
      v_lead := v_lead & v_high;
      v_three := v_lead & v_bit5 & ~v_bit4;
      v_lead_count := bit_count(v_lead);
      v_accent_count := bit_count(v_lead & ~v_bit5 & ~v_bit4);
      v_three_count := bit_count(v_three);
      v_four_count := bit_count(v_lead & v_bit5 & v_bit4);
      v_indic_count := bit_count(v_three & ~(v_bit3 | v_low));
      v_kana_count := bit_count(v_three & ~(v_bit3 | v_bit2) & v_bit1 & v_bit0);
      v_hangul_count := bit_count(v_three & v_bit3 & (v_bit2 # v_bit1));
      v_wide_count := bit_count(v_three & v_bit3 & v_bit2 & v_bit1 & v_bit0);
      v_prose := v_prose
        + 434 * v_lead_count + 317 * v_accent_count + 513 * v_three_count + 1927 * v_four_count
        - 3000 * v_indic_count - 160 * v_kana_count - 63 * v_hangul_count - 550 * v_wide_count;
      v_dense := v_dense
        + 469 * v_lead_count + 126 * v_accent_count + 210 * v_three_count + 2065 * v_four_count
        - 188 * v_indic_count - 3000 * v_kana_count - 3000 * v_hangul_count + 1845 * v_wide_count;
    end if;

    v_total := v_total + greatest(v_prose, v_dense, 0);
    v_offset := v_offset + 8192;
  end loop;
  return greatest(1, (v_total + 999) / 1000);
end
$$;
comment on function kata_data.estimate_tokens(text) is
'An estimate, erring high, of the tokens of o200k_base in a text. 0 for an empty text. Linear in the length of the text.';

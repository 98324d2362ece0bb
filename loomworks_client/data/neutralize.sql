-- What waits to be sent belongs to the original, which sends it itself.
DO $$
BEGIN
    IF to_regclass('public.mail_mail') IS NOT NULL THEN
        UPDATE mail_mail SET state = 'cancel' WHERE state = 'outgoing';
    END IF;
    IF to_regclass('public.sms_sms') IS NOT NULL THEN
        UPDATE sms_sms SET state = 'canceled' WHERE state IN ('outgoing', 'process');
    END IF;
    IF to_regclass('public.snailmail_letter') IS NOT NULL THEN
        UPDATE snailmail_letter SET state = 'canceled' WHERE state = 'pending';
    END IF;
END
$$;

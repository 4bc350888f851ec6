"""Of the page of one lead. What a lead did is called as in the messages to sales."""

from __future__ import annotations

from collections.abc import Mapping

from syncer.handoff.wording import words

_ENGLISH, _SPANISH = (words(language)["kinds"] for language in ("en", "es"))

PHRASES: Mapping[str, tuple[str, str]] = {
    "lead_number": ("Lead {number}", "Lead {number}"),
    "lead_points": ("{points} points", "{points} puntos"),
    "lead_no_stage": ("No stage yet", "Todavía sin etapa"),
    # When
    "lead_at": ("As of", "A fecha de"),
    "lead_at_show": ("Show", "Mostrar"),
    "lead_at_now": ("Back to now", "Volver a hoy"),
    "lead_then": ("As of {at}, with what was known by then and by the rules in force then.", "A fecha de {at}, con lo "
                  "que se sabía entonces y según las reglas que regían entonces."),
    "lead_rules_unused": (
        "The rules in the files have changed, and no run has used them yet: these are their points, not their stage.",
        "Las reglas de los archivos han cambiado y ninguna ejecución las ha usado todavía: estos son sus puntos, no su "
        "etapa.",
    ),
    # Why there is no score
    "lead_deleted": ("This lead was deleted in the CRM. Its history is kept, its score is not; choose a day to see how "
                     "it stood then.", "Este lead se borró en el CRM. Se conserva su historia, no su puntuación; elija "
                     "un día para ver cómo estaba entonces."),
    "lead_erased": ("This person was erased in the CRM. Nothing personal is kept: only when the lead moved, and with "
                    "how many points.", "Esta persona se eliminó del todo en el CRM. No se guarda nada personal: solo "
                    "cuándo cambió de etapa y con cuántos puntos."),
    "lead_forgotten": ("This person was forgotten on {day} by {who}, on request. Nothing personal is kept: only when "
                       "the lead moved, and with how many points.", "Los datos de esta persona se borraron el {day}, a "
                       "petición; lo hizo {who}. No se guarda nada personal: solo cuándo cambió de etapa y con "
                       "cuántos puntos."),
    "lead_unknown_then": ("At that time there was no such lead.", "En ese momento no existía este lead."),
    "lead_no_model": ("No model in the project is for this lead, so it has no score.", "Ningún modelo del proyecto es "
                      "para este lead, así que no tiene puntuación."),
    "lead_exactly": ("In detail (in English)", "Detalle (en inglés)"),
    # Who
    "lead_who": ("Who it is", "Quién es"),
    "lead_email": ("E-mail", "Correo"),
    "lead_company": ("Company", "Empresa"),
    "lead_owner": ("Owner", "Responsable"),
    "lead_decided_by": ("Decided by", "Lo decide"),
    "lead_record": ("Record", "Registro"),
    "lead_open": ("Open in the CRM", "Abrir en el CRM"),
    "lead_modified": ("changed there on {at}", "modificado allí el {at}"),
    "lead_protected": ("its stage belongs to others", "su etapa es de otros"),
    "lead_complaints": ("What makes no sense in its records", "Lo que no cuadra en sus registros"),
    # Where it stands
    "lead_stands": ("Where it stands", "Dónde está"),
    "lead_stage": ("Stage", "Etapa"),
    "lead_since": ("Since", "Desde"),
    "lead_held_by": ("Held by", "La decide"),
    "lead_held_rules": ("the rules", "las reglas"),
    "lead_held_veto": ("a veto: {name}", "un veto: {name}"),
    "lead_held_veto_any": ("a veto rule", "una regla de veto"),
    "lead_held_protected": ("others: its stage is not touched", "otros: su etapa no se toca"),
    "lead_held_person": ("{name}, by hand", "{name}, a mano"),
    "lead_held_person_any": ("a person, by hand", "una persona, a mano"),
    "lead_rules_say": ("The rules would say", "Las reglas dirían"),
    "lead_because": ("Moved because of", "Se movió por"),
    "lead_episodes": ("Became ready", "Estuvo listo"),
    "lead_times_one": ("once", "una vez"),
    "lead_times": ("{count} times", "{count} veces"),
    "lead_model": ("Model", "Modelo"),
    "lead_pending_word": ("{stage}, set by {name}, counts from the next run on.", "{stage}, fijada por {name}, cuenta "
                          "a partir de la próxima ejecución."),
    "lead_pending_release": ("What was set by hand has ended: the rules decide again from the next run on.", "Lo "
                             "fijado a mano ha terminado: las reglas vuelven a decidir desde la próxima ejecución."),
    "lead_cause_baseline": ("the first scoring of all leads", "la primera puntuación de todos los leads"),
    "lead_cause_activity": ("something it did", "algo que hizo"),
    "lead_cause_profile": ("something learned of it", "algo que se supo de este lead"),
    "lead_cause_fading": ("time that passed", "el paso del tiempo"),
    "lead_cause_model": ("other rules", "otras reglas"),
    "lead_cause_override": ("a person's word, or its end", "la decisión de una persona, o su fin"),
    "lead_cause_merge": ("two records that became one", "dos registros que pasaron a ser uno"),
    # The way to the next stage
    "lead_next": ("On the way to {stage}", "Camino de {stage}"),
    "lead_top": ("It is in the last stage.", "Está en la última etapa."),
    "lead_top_alone": ("By the rules alone it would be in the last stage.",
                       "Según las reglas solas estaría en la última etapa."),
    "lead_kept_by": ("Its points no longer reach {stage}. It stays: only {owner} moves a lead down from there.",
                     "Sus puntos ya no alcanzan {stage}. Se queda: de ahí solo {owner} baja a un lead."),
    "lead_nothing_missing": ("All thresholds are passed; the next run moves it.", "Supera todos los umbrales; la "
                             "próxima ejecución lo mueve."),
    "lead_nothing_missing_then": ("All thresholds were passed.", "Superaba todos los umbrales."),
    "lead_held_back": ("{name} holds it back, whatever its points.", "{name} lo retiene, tenga los puntos que tenga."),
    "lead_missing": ("Still missing", "Falta todavía"),
    "lead_or_any": ("Or, instead of {stage}'s own thresholds, one of these conditions", "O bien, en lugar de los "
                    "umbrales propios de {stage}, una de estas condiciones"),
    "lead_or_any_all": ("Or, instead of all of these, one of these conditions", "O bien, en lugar de todo lo anterior, "
                        "una de estas condiciones"),
    "lead_gate": ("{measure} {sign} {points}", "{measure} {sign} {points}"),
    "lead_has": ("has {points}", "tiene {points}"),
    "lead_had": ("had {points}", "tenía {points}"),
    "lead_passed": ("passed", "superado"),
    "lead_shut": ("not passed", "sin superar"),
    "lead_shortcut": ("passed by a shortcut", "superado por un atajo"),
    "lead_reached": ("reached", "alcanzada"),
    "lead_not_reached": ("not reached", "sin alcanzar"),
    "lead_stages": ("Thresholds of each stage", "Umbrales de cada etapa"),
    "lead_thresholds": ("Thresholds", "Umbrales"),
    "lead_no_thresholds": ("none of its own", "ninguno propio"),
    "lead_ask": ("Not known yet, worth asking", "Por saber: conviene preguntar"),
    "lead_not_there": ("Not there yet", "Todavía no se ha dado"),
    "lead_would_give": ("would give {points}", "daría {points}"),
    # The ledger
    "lead_ledger": ("Where the points come from", "De dónde salen los puntos"),
    "lead_ledger_caption": ("Each line, its evidence and its line in the rules; they add up exactly. The bars go on "
                            "from one line to the next, and dashed lines are thresholds.", "Cada línea, su prueba y su "
                            "línea en las reglas; la suma es exacta. Las barras siguen de una línea a la siguiente y "
                            "las rayas discontinuas son umbrales."),
    "lead_rule": ("Rule", "Regla"),
    "lead_points_column": ("Points", "Puntos"),
    "lead_bar": ("Running sum", "Suma acumulada"),
    "lead_no_lines": ("No rule gives it any point.", "Ninguna regla le da puntos."),
    "lead_total": ("Total", "Total"),
    "lead_dimension_fit": ("Fit", "Perfil"),
    "lead_dimension_engagement": ("Engagement", "Interacción"),
    "lead_dimension_need": ("Need", "Necesidad"),
    "lead_dimension_readiness": ("Readiness", "Disposición"),
    "lead_dimension_total": ("Total", "Total"),
    "lead_ignored": ("What does not count", "Lo que no cuenta"),
    "lead_ignored_why": ("Voided by rules under “ignore”: as if it had not happened.", "Anulado por las reglas de "
                         "«ignore»: como si no hubiera ocurrido."),
    # Over time
    "lead_course": ("Score over time", "Puntuación a lo largo del tiempo"),
    "lead_course_see": ("See the last 180 days", "Ver los últimos 180 días"),
    "lead_course_aria": ("Line: points from {start} to {end}; dots are moves of the stage. The table below has the "
                         "same numbers.", "Línea: puntos del {start} al {end}; los puntos marcan cambios de etapa. La "
                         "tabla de abajo tiene los mismos números."),
    "lead_course_none": ("Nothing is known of its past.", "No se sabe nada de su pasado."),
    "lead_numbers": ("The numbers", "Los números"),
    "lead_when": ("When", "Cuándo"),
    "lead_moved_here": ("moved here", "entró aquí"),
    # What happened
    "lead_timeline": ("What happened", "Qué ha pasado"),
    "lead_timeline_then": ("Up to then, as it is known today.", "Hasta entonces, tal como se sabe hoy."),
    "lead_earlier": ("Earlier", "Anteriores"),
    "lead_from_latest": ("Back to the lead", "Volver al lead"),
    "lead_event_move": ("Stage", "Etapa"),
    "lead_event_word": ("By hand", "A mano"),
    "lead_event_word_ended": ("By hand", "A mano"),
    "lead_event_handoff": ("Hand-off", "Entrega"),
    "lead_event_message": ("Message", "Mensaje"),
    "lead_event_acted": ("Sales", "Ventas"),
    "lead_event_answer": ("Sales", "Ventas"),
    "lead_event_counter": ("Counter", "Contador"),
    "lead_event_activity": ("Activity", "Actividad"),
    "lead_new": ("new", "nuevo"),
    "lead_moved": ("{points} points, because of {cause}", "{points} puntos, por {cause}"),
    "lead_moved_run": ("run {run}", "ejecución {run}"),
    "lead_word_set": ("{stage} set by {name} ({source})", "{stage} fijada por {name} ({source})"),
    "lead_word_over": ("{stage} set by {name} has ended", "{stage} fijada por {name} ha terminado"),
    "lead_handed_over": ("Ready for sales as {stage}, {points} points", "Listo para ventas como {stage}, {points} "
                         "puntos"),
    "lead_message_handoff": ("told {name} via {channel}", "aviso a {name} por {channel}"),
    "lead_message_reminder": ("reminded {name} via {channel}", "recordatorio a {name} por {channel}"),
    "lead_message_escalation": ("escalated to {name} via {channel}", "aviso a dirección, {name}, por {channel}"),
    "lead_message_assignment": ("assigned to {name} via {channel}", "asignado a {name} por {channel}"),
    "lead_acted": ("acted first: {what}", "actuó por primera vez: {what}"),
    "lead_acted_stage": ("a person or another team moved its stage", "una persona u otro equipo movió su etapa"),
    "lead_accepted": ("accepted by {name} ({source})", "aceptado por {name} ({source})"),
    "lead_rejected": ("not ready, says {name} ({source})", "no está listo, según {name} ({source})"),
    "lead_counted": ("{count} seen when first looked", "{count} al mirar por primera vez"),
    "lead_counted_more": ("{more} more, {count} in all", "{more} más, {count} en total"),
    "lead_source_command": ("command line", "línea de comandos"),
    "lead_source_page": ("page", "página"),
    "lead_source_crm": ("stage changed in the CRM", "etapa cambiada en el CRM"),
    "lead_source_field": ("field in the CRM", "campo del CRM"),
    "lead_source_answer": ("answer of sales", "respuesta de ventas"),
    "lead_source_link": ("link in a message", "enlace de un mensaje"),
    "lead_source_slack": ("Slack", "Slack"),
    # Hand-offs
    "lead_handoffs": ("Hand-offs", "Entregas"),
    "lead_assigned_to": ("for {name}", "para {name}"),
    "lead_due": ("due {at}", "vence el {at}"),
    "lead_touched": ("sales acted {at}", "ventas actuó el {at}"),
    "lead_closed": ("closed since {at}", "cerrada desde el {at}"),
    "lead_kind_handoff": ("hand-off", "entrega"),
    "lead_kind_reminder": ("reminder", "recordatorio"),
    "lead_kind_escalation": ("escalation", "aviso a dirección"),
    "lead_kind_assignment": ("assignment", "asignación"),
    "lead_state_waiting": ("waits for the CRM", "espera al CRM"),
    "lead_state_ready": ("ready to be sent", "lista para enviar"),
    "lead_state_sending": ("on its way", "en camino"),
    "lead_state_uncertain": ("may have arrived", "puede que llegara"),
    "lead_state_sent": ("sent", "enviada"),
    "lead_state_dead": ("could not be sent", "no se pudo enviar"),
    "lead_state_dropped": ("not sent", "no se envió"),
    # By hand
    "lead_override": ("Set the stage by hand", "Fijar la etapa a mano"),
    "lead_override_explain": ("A person's word stands over the rules until it ends. The rules go on computing beside "
                              "it.", "La decisión de una persona está por encima de las reglas hasta que termina. Las "
                              "reglas siguen calculando al lado."),
    "lead_reason": ("Reason", "Motivo"),
    "lead_until": ("Until the end of (empty: until it is ended)", "Hasta el final del (vacío: hasta que se termine)"),
    "lead_set": ("Set the stage", "Fijar la etapa"),
    "lead_end": ("Let the rules decide again", "Que decidan de nuevo las reglas"),
    "lead_words": ("Set by hand so far", "Fijado a mano hasta ahora"),
    "lead_words_none": ("Nobody has set its stage by hand.", "Nadie ha fijado su etapa a mano."),
    "lead_author": ("By", "Quién"),
    "lead_where_said": ("Where", "Dónde"),
    "lead_end_column": ("Until", "Hasta"),
    "lead_open_end": ("until it is ended", "hasta que se termine"),
    "lead_in_force": ("in force", "en vigor"),
    "lead_over": ("ended", "terminada"),
    "lead_overridden": ("The stage is {stage}, set by {who}. The next run writes it to the CRM; it starts soon.", "La "
                        "etapa es {stage}, fijada por {who}. La próxima ejecución la escribe en el CRM; empieza "
                        "pronto."),
    "lead_overridden_others": ("The stage belongs to others and is not touched. {stage}, set by {who}, is kept and "
                               "counts once they let go of it.", "La etapa es de otros y no se toca. {stage}, fijada "
                               "por {who}, queda guardada y cuenta cuando la suelten."),
    "lead_overridden_gone": ("This lead was deleted in the CRM. {stage}, set by {who}, is kept and counts if it comes "
                             "back.", "Este lead se borró en el CRM. {stage}, fijada por {who}, queda guardada y "
                             "cuenta si vuelve."),
    "lead_let_go": ("The rules decide again, from the next run on; it starts soon.", "Las reglas vuelven a decidir "
                    "desde la próxima ejecución; empieza pronto."),
    "lead_let_go_silenced": (
        "The rules decide again, from the next run on. What stands in the field for it in {connections} counts again "
        "once it is written anew.",
        "Las reglas vuelven a decidir desde la próxima ejecución. Lo que hay en el campo correspondiente de "
        "{connections} vuelve a contar cuando se escriba de nuevo.",
    ),
    "lead_not_held": ("Nothing was set by hand.", "No había nada fijado a mano."),
    **{f"lead_did_{kind}": (_ENGLISH[kind], _SPANISH[kind]) for kind in _ENGLISH if kind in _SPANISH},
}  # fmt: skip

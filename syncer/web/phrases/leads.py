"""Of the list of leads, and of the files that it is given out as."""

from __future__ import annotations

from collections.abc import Mapping

PHRASES: Mapping[str, tuple[str, str]] = {
    "leads_title": ("Leads", "Leads"),
    # Which ones
    "leads_filter": ("Which leads", "Qué leads"),
    "leads_search": ("Search", "Buscar"),
    "leads_search_hint": (
        "How a name, an address or a company's domain begins; a whole address; a record's id in the CRM",
        "El principio de un nombre, de una dirección o del dominio de una empresa; una dirección entera; el id de un "
        "registro del CRM",
    ),
    "leads_stages": ("Stages", "Etapas"),
    "leads_score_from": ("Score from", "Puntuación desde"),
    "leads_score_to": ("Score to", "Puntuación hasta"),
    "leads_moved": ("Moved", "Cambió de etapa"),
    "leads_any_time": ("At any time", "En cualquier momento"),
    "leads_last_days": ("In the last {days} days", "En los últimos {days} días"),
    "leads_last_day": ("In the last 24 hours", "En las últimas 24 horas"),
    "leads_anybody": ("Anybody", "Cualquiera"),
    "leads_any_source": ("Any", "Cualquiera"),
    "leads_sort": ("Order", "Orden"),
    "leads_sort_score": ("Highest score first", "Primero la puntuación más alta"),
    "leads_sort_since": ("Latest move first", "Primero el último cambio de etapa"),
    "leads_sort_name": ("By name", "Por nombre"),
    "leads_clear": ("Show all", "Mostrar todos"),
    # The list
    "leads_count_one": ("1 lead", "1 lead"),
    "leads_count": ("{count} leads", "{count} leads"),
    "leads_more_than": ("More than {count} leads", "Más de {count} leads"),
    "leads_none": ("No lead is like that.", "Ningún lead es así."),
    "leads_none_yet": ("No lead has been scored yet.", "Todavía no se ha puntuado ningún lead."),
    "leads_none_here": ("None on this stretch of the list.", "Ninguno en este tramo de la lista."),
    "leads_passed_over": (
        "Few leads are like that: {count} were looked at here, in this order. There may be more behind them.",
        "Pocos leads son así: aquí se han mirado {count}, en este orden. Puede haber más detrás.",
    ),
    "leads_look_further": ("Look further", "Seguir buscando"),
    "leads_previous": ("Previous", "Anteriores"),
    "leads_next": ("Next", "Siguientes"),
    "leads_pages": ("Pages of the list", "Páginas de la lista"),
    "leads_name": ("Name", "Nombre"),
    "leads_email": ("E-mail", "Correo"),
    "leads_stage": ("Stage", "Etapa"),
    "leads_held_by": ("Held by", "La fija"),
    "leads_held_person": ("a person", "una persona"),
    "leads_held_protected": ("others", "otros"),
    "leads_held_veto": ("a veto", "un veto"),
    "leads_held_tag": ("held by {who}", "la fija {who}"),
    "leads_score": ("Score", "Puntuación"),
    "leads_owner": ("Owner", "Responsable"),
    "leads_since": ("Since", "Desde"),
    "leads_source": ("Source", "Origen"),
    "leads_connection": ("Connection", "Conexión"),
    "leads_number": ("Number", "Número"),
    "leads_nameless": ("Lead {number}", "Lead {number}"),
    "leads_undecided": ("not yet", "todavía no"),
    # As a file
    "leads_files": ("These leads as a file", "Estos leads en un archivo"),
    "leads_csv": ("CSV", "CSV"),
    "leads_xlsx": ("Excel", "Excel"),
    "leads_xlsx_most": ("Excel: the first {count}; CSV: all of them", "Excel: los {count} primeros; CSV: todos"),
    "leads_cut": (
        "There are more leads than this sheet holds: these are the first {count}. As CSV there are all of them.",
        "Hay más leads de los que caben en esta hoja: estos son los primeros {count}. En CSV están todos.",
    ),
}

"""Makes config/samples/leads.xlsx, the invented leads that `syncer init --crm spreadsheet` starts from:

    python -m tests.sample_leads

Forty people, and what they did, up to DAY; `init` moves all days so that the last one is yesterday. Nobody in it
exists: the companies live under .example, and gmail.com is there because free addresses count as such.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path

from openpyxl import Workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from syncer.sheets.cells import Cell

PATH = Path(__file__).parent.parent / "config" / "samples" / "leads.xlsx"
DAY = date(2026, 11, 20)

HEADINGS = (
    "E-mail", "Name", "Owner", "Company", "Country", "Job title", "Employees", "Main challenge", "Current tool",
    "Budget", "Timeline", "Last form", "Last form on", "Unsubscribed",
)  # fmt: skip
DEEDS = ("E-mail", "When", "What", "Outcome")

_OWNERS = ("marta@acme.example", "john@acme.example")
_KEEN = """
Ana Ruiz|Clínica Sol|España|Directora financiera|100-500|cierre de mes|Excel|12000|now|Demo|3
Bruno Costa|Porto Log|Portugal|Head of operations|50-100|late reports|spreadsheets|8000|1-3 months|Webinar|6
Carmen Vidal|Grupo Mar|México|Jefe de compras|500-1000|gastos sin control|Excel|20000|1 month|Demo|5
Diego Luna|Andes Pago|Chile|Gerente general|100-500|conciliación|Pardot|15000|now|Demo|2
Emma Clarke|Brightside|Spain|Founder|50-100|reporting|spreadsheets|6000|1-3 months|Guide|9
Félix Soto|Norte Pan|España|Director comercial|100-500|previsión de ventas|Excel|9000|now|Demo|4
"""
_WARM = """
Gloria Peña|Textil Ebro|España|Directora de marketing|100-500|segmentar clientes|Marketo|||Guía|20
Hugo Marín|Caribe Tours|Colombia|Gerente de ventas|50-100|seguimiento de leads|Excel|||Webinar|12
Inés Prado|Vino Real|España|Jefe de ventas|50-100|informes||3000||Guía|15
Jack Miller|Fernhill|Spain|Head of sales|100-500|lead routing|spreadsheets||6 months|Webinar|25
Karen Lopes|Sur Datos|Argentina|Directora|500-1000|datos duplicados|Excel|||Guía|18
Laura Gil|Óptica Luz|España|Socia directora|50-100|citas perdidas||4000||Guía|22
Mateo Rey|Puerto Frío|Chile|Jefe de logística|100-500|costes|Excel|||Webinar|16
Nora Walsh|Oakline|Portugal|Chief of staff|50-100|board reports|Pardot|||Guide|11
Óscar Núñez|Mina Alta|Perú|Director de TI|1000+|integraciones|Excel|||Guía|14
Paula Ríos|Casa Flor|México|Gerente|100-500|inventario|Excel|||Webinar|19
"""
_FITTING = """
Quim Roca|Fusta Nova|España|Director|50-100|||||Guía|70
Rosa Blanco|Salud Más|España|Directora médica|100-500||||||
Sam Turner|Greyfield|Spain|Owner|50-100|||||Guide|90
Teresa Mora|Lana y Lino|Colombia|Jefe de compras|100-500||||||
Úrsula Vega|Monte Verde|México|Gerente de planta|500-1000||||||
Víctor Sanz|Aceros Sil|España|Jefe de administración|100-500||||||
Wendy Park|Harbour Co|Portugal|Head of finance|50-100||||||
Ximena Cruz|Altiplano|Argentina|Directora|100-500||||||
Yago Pino|Ría Baja|España|Socio|50-100||||||
Zoe Adams|Lakeside|Spain|Founder|50-100||||||
Álvaro Mesa|Piedra Azul|Chile|Gerente|100-500||||||
Beatriz Rey|Trigo Limpio|España|Directora|1000+||||||
"""
_OTHERS = """
Carlos Fe||España|Estudiante||||||Guía|8
Daniel Kim||Germany|Analyst||||||Webinar|5
Elena Paz||España|||presupuesto||||Guía|30
Frank Moss|Stonebridge|United Kingdom|Clerk|1-10||||||
Gema Oro||México|becaria||||||Guía|12
Helen Dunn||Ireland|||||||Guide|4
Iván Sol||España|||||||
Julia Nan||France|Assistant||||||Webinar|40
Kike Bueno|Rival|España|Director|100-500|espiar|Excel|50000|now|Demo|3
Lía Campos|Río Claro|España|Directora|100-500|||||Guía|60
Max Bauer||Germany|||||||
Nadia Ortiz||España|Student||||||Guía|6
"""
_WHAT = {
    _KEEN: ("meeting:completed:6", "email_received::4", "form_submission::3", "page_view::2", "page_view::1",
            "call:connected:8"),
    _WARM: ("form_submission::12", "email_received::9", "page_view::7", "call:connected:15", "email_open::5"),
    _FITTING: ("email_open::21",),
    _OTHERS: ("page_view::3", "page_view::2", "email_click::6"),
}  # fmt: skip


def people() -> list[list[Cell]]:
    return [_person(number, line) for number, line in enumerate(_lines())]


def deeds() -> list[list[Cell]]:
    """What they did, as the days went by."""
    return sorted(_deeds(), key=lambda row: (str(row[1]), str(row[0])))


def _lines() -> list[str]:
    return [line for part in _WHAT for line in part.strip().splitlines()]


def _person(number: int, line: str) -> list[Cell]:
    name, company, country, title, size, problem, tool, budget, timeline, form, ago = line.split("|") + [""] * (
        11 - len(line.split("|"))
    )
    return [
        _address(line),
        name,
        _OWNERS[number % len(_OWNERS)],
        *(text or None for text in (company, country, title, size, problem, tool)),
        int(budget) if budget else None,
        *(text or None for text in (timeline, form)),
        DAY - timedelta(days=int(ago)) if ago else None,
        True if name == "Lía Campos" else None,
    ]


_PLAIN = str.maketrans("áéíóúüñÁÉÍÓÚÜÑ", "aeiouunAEIOUUN")


def _address(line: str) -> str:
    name, company = line.split("|")[:2]
    local = name.translate(_PLAIN).lower().replace(" ", ".")
    domain = company.translate(_PLAIN).lower().replace(" ", "") + ".example" if company else "gmail.com"
    return f"{local}@{domain}"


def _deeds() -> Iterator[list[Cell]]:
    for part, what in _WHAT.items():
        for number, line in enumerate(part.strip().splitlines()):
            for kind, outcome, ago in (each.split(":") for each in what):
                day = DAY - timedelta(days=int(ago) - 1 + number % 3)
                yield [_address(line), datetime.combine(day, time(9 + number % 8, 5 * number)), kind, outcome or None]


def _fill(sheet: Worksheet, headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    sheet.append(list(headings))
    for row in rows:
        sheet.append(list(row))
    for place, cell in enumerate(sheet[1], start=1):
        cell.font = Font(bold=True)
        longest = max(len(str(row[place - 1] or "")) for row in (headings, *rows))
        sheet.column_dimensions[get_column_letter(place)].width = min(longest + 2, 40)
    sheet.freeze_panes = "A2"


def write(path: Path = PATH) -> None:
    book = Workbook()
    leads = book.worksheets[0]
    leads.title = "Leads"
    _fill(leads, HEADINGS, people())
    _fill(book.create_sheet("Activities"), DEEDS, deeds())
    book.properties.creator = "syncer"
    book.save(path)


if __name__ == "__main__":
    write()

"""The org's allowances: API requests in any 24 hours, calls that run long at once, and the resource that lists all."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.emulators.salesforce.errors import Refusal

DAY_S = 86_400
BUCKET_S = 60  # requests are counted by the minute
UNLIMITED = 5_000_000  # what an org without limits shows (a sandbox's number)
TOTAL = "TotalRequests Limit exceeded."
CONCURRENT = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
LONG_TRANSACTIONS = "ConcurrentPerOrgLongTxn Limit exceeded."


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes; the defaults are those of a Developer Edition org."""

    daily: int = 15_000  # API requests in any 24 hours
    concurrent: int = 5  # calls that have run for `long_s` or more; 25 in production and sandboxes
    long_s: float = 20.0
    bulk_query_jobs: int = 10_000  # in any 24 hours
    bulk_batches: int = 15_000


class Window:
    """How much was used in the last 24 hours."""

    def __init__(self) -> None:
        self._buckets: deque[list[int]] = deque()  # [minute, count]
        self._used = 0

    def add(self, now_s: float, count: int = 1) -> None:
        """Use some more."""
        minute = int(now_s // BUCKET_S)
        if not self._buckets or self._buckets[-1][0] != minute:
            self._buckets.append([minute, 0])
        self._buckets[-1][1] += count
        self._used += count

    def used(self, now_s: float) -> int:
        """The sum of what is not older than a day."""
        oldest = int((now_s - DAY_S) // BUCKET_S)
        while self._buckets and self._buckets[0][0] <= oldest:
            self._used -= self._buckets.popleft()[1]
        return self._used


class Usage:
    """Counts what was let through. With `limits` None nothing is refused."""

    def __init__(self, limits: Limits | None) -> None:
        self.limits = limits
        self.requests = Window()
        self.query_jobs = Window()
        self.batches = Window()
        self._by_app: dict[str, Window] = {}
        self._under_way: dict[int, float] = {}  # request -> when it began
        self._next = 0

    def begin(self, now_s: float) -> int:
        """A request came in; the number to give to `end`."""
        self._next += 1
        self._under_way[self._next] = now_s
        return self._next

    def end(self, number: int) -> None:
        """It was answered."""
        self._under_way.pop(number, None)

    @property
    def under_way(self) -> int:
        """Requests that wait for their answer."""
        return len(self._under_way)

    def admit(self, now_s: float, app: str | None, quota: int | None) -> None:
        """Let a call in and count it, or 403 REQUEST_LIMIT_EXCEEDED in one of its meanings."""
        if self.limits is not None:
            if self.requests.used(now_s) >= self.limits.daily:
                raise Refusal(403, "REQUEST_LIMIT_EXCEEDED", TOTAL)
            if app is not None and quota is not None and self.window_of(app).used(now_s) >= quota:
                raise Refusal(403, "REQUEST_LIMIT_EXCEEDED", TOTAL)
            if self.running_long(now_s) >= self.limits.concurrent:
                raise Refusal(403, "REQUEST_LIMIT_EXCEEDED", CONCURRENT)
        self.requests.add(now_s)
        if app is not None:
            self.window_of(app).add(now_s)

    def window_of(self, app: str) -> Window:
        """What one connected app used."""
        return self._by_app.setdefault(app, Window())

    def running_long(self, now_s: float) -> int:
        """Requests under way since `long_s` or more."""
        long_s = self.limits.long_s if self.limits else 0.0
        return sum(now_s - since >= long_s for since in self._under_way.values())

    def header(self, now_s: float, app: str | None = None, quota: int | None = None) -> str:
        """Sforce-Limit-Info: `api-usage=18/5000`, and with an app of its own quota the second form."""
        shown = f"api-usage={self.requests.used(now_s)}/{self._daily}"
        if app is None or quota is None:
            return shown
        return f"{shown}; per-app-api-usage={self.window_of(app).used(now_s)}/{quota}(appName={app})"

    def use_query_job(self, now_s: float) -> None:
        """One more bulk query job, or 400 LIMIT_EXCEEDED."""
        most = self.limits.bulk_query_jobs if self.limits else UNLIMITED
        used = self.query_jobs.used(now_s)
        if used >= most:
            message = f"Max bulk v2 query jobs ({most}) per 24 hrs has been reached ({used + 1})."
            raise Refusal(400, "LIMIT_EXCEEDED", message)
        self.query_jobs.add(now_s)

    def resource(self, now_s: float) -> dict[str, Any]:
        """What GET /limits answers: {name: {"Max", "Remaining"}}."""
        live = {
            "DailyApiRequests": (self._daily, self.requests.used(now_s)),
            "DailyBulkV2QueryJobs": (self.limits.bulk_query_jobs if self.limits else 10_000, self._jobs(now_s)),
            "DailyBulkApiBatches": (self.limits.bulk_batches if self.limits else 15_000, self.batches.used(now_s)),
        }
        shown: dict[str, Any] = {name: _pair(most, 0) for name, most in _ALLOWANCES.items()}
        shown |= {name: _pair(most, used) for name, (most, used) in live.items()}
        shown["PermissionSets"] = {"Max": 1500, "Remaining": 1499, "CreateCustom": _pair(1000, 1)}
        return dict(sorted(shown.items()))

    def _jobs(self, now_s: float) -> int:
        return self.query_jobs.used(now_s)

    @property
    def _daily(self) -> int:
        return self.limits.daily if self.limits else UNLIMITED


def _pair(most: int, used: int) -> dict[str, int]:
    return {"Max": most, "Remaining": max(0, most - used)}


_ALLOWANCES: Mapping[str, int] = {
    "ActiveScratchOrgs": 3,
    "AnalyticsExternalDataSizeMB": 40960,
    "BOZosCalloutHourlyLimit": 20000,
    "CdpAiInferenceApiMonthlyLimit": 500000000,
    "ConcurrentAsyncGetReportInstances": 200,
    "ConcurrentEinsteinDataInsightsStoryCreation": 5,
    "ConcurrentEinsteinDiscoveryStoryCreation": 2,
    "ConcurrentSyncReportRuns": 20,
    "ContentDistBandwidthLimitMB": 102400,
    "ContentDistViewLimit": 20000,
    "ContentPublicationLimit": 2500,
    "DailyAnalyticsDataflowJobExecutions": 60,
    "DailyAnalyticsUploadedFilesSizeMB": 51200,
    "DailyAsyncApexExecutions": 250000,
    "DailyAsyncApexTests": 500,
    "DailyBulkV2QueryFileStorageMB": 976562,
    "DailyDeliveredPlatformEvents": 10000,
    "DailyDurableGenericStreamingApiEvents": 10000,
    "DailyDurableStreamingApiEvents": 10000,
    "DailyEinsteinDataInsightsStoryCreation": 1000,
    "DailyEinsteinDiscoveryOptimizationJobRuns": 25,
    "DailyEinsteinDiscoveryPredictAPICalls": 50000,
    "DailyEinsteinDiscoveryPredictionsByCDC": 500000,
    "DailyEinsteinDiscoveryStoryCreation": 100,
    "DailyFunctionsApiCallLimit": 40000,
    "DailyGenericStreamingApiEvents": 10000,
    "DailyMetadataRetrievesWithDependencies": 100,
    "DailyScratchOrgs": 6,
    "DailyStandardVolumePlatformEvents": 10000,
    "DailyStreamingApiEvents": 10000,
    "DailyWorkflowEmails": 390,
    "DataStorageMB": 5,
    "DurableStreamingApiConcurrentClients": 20,
    "FileStorageMB": 20,
    "HourlyAsyncReportRuns": 1200,
    "HourlyDashboardRefreshes": 200,
    "HourlyDashboardResults": 5000,
    "HourlyDashboardStatuses": 999999999,
    "HourlyElevateAsyncReportRuns": 1200,
    "HourlyElevateSyncReportRuns": 500,
    "HourlyLongTermIdMapping": 100000,
    "HourlyManagedContentPublicRequests": 50000,
    "HourlyODataCallout": 1000,
    "HourlyPublishedPlatformEvents": 50000,
    "HourlyPublishedStandardVolumePlatformEvents": 1000,
    "HourlyShortTermIdMapping": 100000,
    "HourlySyncReportRuns": 500,
    "HourlyTimeBasedWorkflow": 50,
    "MassEmail": 10,
    "MaxContentDocumentsLimit": 30000000,
    "MonthlyEinsteinDiscoveryStoryCreation": 500,
    "MonthlyPlatformEventsUsageEntitlement": 0,
    "Package2VersionCreates": 6,
    "Package2VersionCreatesWithoutValidation": 500,
    "PlatformEventTriggersWithParallelProcessing": 5,
    "PrivateConnectOutboundCalloutHourlyLimitMB": 0,
    "PublishCallbackUsageInApex": 5,
    "SingleEmail": 15,
    "StreamingApiConcurrentClients": 20,
}

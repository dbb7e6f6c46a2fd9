import StemwireProtocol

/// One attempt at one partition of one plan, as the server names it.
struct WorkItemID: Hashable, Sendable, CustomStringConvertible {
    let plan: UInt32
    let partition: UInt32
    let attempt: UInt32

    init(_ wire: WireWorkItem) {
        plan = wire.plan
        partition = wire.partition
        attempt = wire.attempt
    }

    var wire: WireWorkItem {
        var item = WireWorkItem()
        item.plan = plan
        item.partition = partition
        item.attempt = attempt
        return item
    }

    var description: String { "partition \(partition) of plan \(plan), attempt \(attempt)" }
}

/// Names a plan, an item or a merge task within this process; never used again, whatever the server does with its numbers.
typealias Serial = UInt64

/// What a worker can hold: items, and bytes of their frames.
struct WorkerCapacity: Sendable, Hashable {
    var items: Int
    var bytes: Int
}

extension WireCredit {
    init(_ capacity: WorkerCapacity) {
        self.init()
        items = UInt32(clamping: capacity.items)
        bytes = UInt64(capacity.bytes)
    }
}

/// Something that an operator wants to know.
enum WorkerNotice: Sendable, Equatable {
    case connected(session: [UInt8], epoch: UInt64)
    /// The connection is of no use any more; another one is made.
    case lost(String)
    /// The server refuses this worker, which goes on trying.
    case refused(String)
}

/// How a worker's work ended.
enum WorkerEnding: Sendable, Equatable {
    /// As it was asked to; with so many items that others have to do now.
    case left(unfinished: Int)
    /// The server will never take this worker.
    case refused(String)
    /// There was no server for longer than the connect timeout.
    case unreachable(String)
}

/// Values that keep their place until they are removed; a place is used again.
///
/// All operations take O(1). The memory is that of the most values there ever were at once; what a removed value
/// refers to is kept until its place is used again.
struct Slab<Element: Sendable>: Sendable {
    private var elements: [Element] = []
    private var isUsed: [Bool] = []
    private var free: [Int] = []

    var count: Int { elements.count - free.count }

    mutating func insert(_ element: Element) -> Int {
        if let slot = free.popLast() {
            elements[slot] = element
            isUsed[slot] = true
            return slot
        }
        elements.append(element)
        isUsed.append(true)
        return elements.count - 1
    }

    @discardableResult
    mutating func remove(_ slot: Int) -> Element {
        assert(isUsed[slot], "nothing is there")
        isUsed[slot] = false
        free.append(slot)
        return elements[slot]
    }

    subscript(slot: Int) -> Element {
        _read {
            assert(isUsed[slot], "nothing is there")
            yield elements[slot]
        }
        _modify {
            assert(isUsed[slot], "nothing is there")
            yield &elements[slot]
        }
    }

    /// Places in use, in ascending order. O(capacity).
    var slots: [Int] { elements.indices.filter { isUsed[$0] } }
}

/// A list of slots whose links lie in a `SlotLinks`.
struct SlotList: Sendable {
    fileprivate(set) var first: Int?
    fileprivate(set) var last: Int?
    fileprivate(set) var count = 0

    var isEmpty: Bool { count == 0 }
}

/// The links of any number of lists, in each of which a slot can stand at most once, and in one of them only.
///
/// All operations take O(1).
struct SlotLinks: Sendable {
    private static let none: Int32 = -1
    private var nextSlot: [Int32] = []
    private var previousSlot: [Int32] = []

    func next(_ slot: Int) -> Int? {
        let next = nextSlot[slot]
        return next == Self.none ? nil : Int(next)
    }

    mutating func append(_ slot: Int, to list: inout SlotList) {
        while nextSlot.count <= slot {
            nextSlot.append(Self.none)
            previousSlot.append(Self.none)
        }
        nextSlot[slot] = Self.none
        previousSlot[slot] = Int32(truncatingIfNeeded: list.last ?? -1)
        if let last = list.last { nextSlot[last] = Int32(truncatingIfNeeded: slot) } else { list.first = slot }
        list.last = slot
        list.count += 1
    }

    mutating func remove(_ slot: Int, from list: inout SlotList) {
        let next = nextSlot[slot]
        let previous = previousSlot[slot]
        if previous == Self.none {
            list.first = next == Self.none ? nil : Int(next)
        } else {
            nextSlot[Int(previous)] = next
        }
        if next == Self.none {
            list.last = previous == Self.none ? nil : Int(previous)
        } else {
            previousSlot[Int(next)] = previous
        }
        list.count -= 1
    }

    mutating func moveToEnd(_ slot: Int, of list: inout SlotList) {
        guard list.last != slot else { return }
        remove(slot, from: &list)
        append(slot, to: &list)
    }
}

/// Workers by free credit, the one with the most first. A worker is a slot.
///
/// Changes take O(log workers).
struct CreditHeap: Sendable {
    private static let absent: Int32 = -1
    private var entries: [(credit: UInt64, worker: Int)] = []
    /// Where a worker stands in `entries`.
    private var places: [Int32] = []

    var count: Int { entries.count }

    /// The most free credit that a worker has; 0 if there is none.
    var mostCredit: UInt64 { entries.first?.credit ?? 0 }

    func contains(_ worker: Int) -> Bool { worker < places.count && places[worker] != Self.absent }

    /// Sets a worker's credit, and takes the worker in if need be.
    mutating func set(_ worker: Int, credit: UInt64) {
        while places.count <= worker { places.append(Self.absent) }
        if places[worker] == Self.absent {
            entries.append((credit, worker))
            places[worker] = Int32(truncatingIfNeeded: entries.count - 1)
            raise(entries.count - 1)
            return
        }
        let place = Int(places[worker])
        let before = entries[place].credit
        entries[place].credit = credit
        if credit > before { raise(place) } else if credit < before { lower(place) }
    }

    mutating func remove(_ worker: Int) {
        guard contains(worker) else { return }
        let place = Int(places[worker])
        let last = entries.removeLast()
        places[worker] = Self.absent
        guard place < entries.count else { return }
        entries[place] = last
        places[last.worker] = Int32(truncatingIfNeeded: place)
        raise(place)
        lower(Int(places[last.worker]))
    }

    /// The worker with the most free credit, but at least some, that suits. Looks at `limit` workers at most, the best
    /// first.
    func best(limit: Int, where suits: (Int) -> Bool) -> Int? {
        guard let top = entries.first, top.credit > 0 else { return nil }
        if suits(top.worker) { return top.worker }
        // The entries beyond which nobody has looked yet.
        var border = [1, 2].filter { $0 < entries.count && entries[$0].credit > 0 }
        for _ in 1..<max(limit, 1) {
            guard let index = border.indices.max(by: { entries[border[$0]].credit < entries[border[$1]].credit }) else {
                return nil
            }
            let place = border.remove(at: index)
            if suits(entries[place].worker) { return entries[place].worker }
            for child in [2 * place + 1, 2 * place + 2] where child < entries.count && entries[child].credit > 0 {
                border.append(child)
            }
        }
        return nil
    }

    private mutating func raise(_ start: Int) {
        var place = start
        while place > 0 {
            let parent = (place - 1) / 2
            guard entries[parent].credit < entries[place].credit else { return }
            exchange(place, parent)
            place = parent
        }
    }

    private mutating func lower(_ start: Int) {
        var place = start
        while true {
            var largest = place
            for child in [2 * place + 1, 2 * place + 2] where child < entries.count {
                if entries[child].credit > entries[largest].credit { largest = child }
            }
            guard largest != place else { return }
            exchange(place, largest)
            place = largest
        }
    }

    private mutating func exchange(_ a: Int, _ b: Int) {
        entries.swapAt(a, b)
        places[entries[a].worker] = Int32(truncatingIfNeeded: a)
        places[entries[b].worker] = Int32(truncatingIfNeeded: b)
    }
}

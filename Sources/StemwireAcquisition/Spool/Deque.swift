/// A queue with two ends. Adding and taking at either end takes a fixed number of steps on average.
struct Deque<Element>: Sequence {
    private var elements: [Element?] = []
    private var start = 0
    private(set) var count = 0

    var first: Element? { count > 0 ? elements[start] : nil }

    mutating func append(_ element: Element) {
        if count == elements.count { grow() }
        elements[(start + count) % elements.count] = element
        count += 1
    }

    mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        defer {
            elements[start] = nil
            start = (start + 1) % elements.count
            count -= 1
        }
        return elements[start]
    }

    mutating func popLast() -> Element? {
        guard count > 0 else { return nil }
        count -= 1
        let index = (start + count) % elements.count
        defer { elements[index] = nil }
        return elements[index]
    }

    /// Takes out what does not fit; steps in proportion to the number of elements.
    mutating func keepOnly(_ isKept: (Element) -> Bool) {
        let kept = filter(isKept)
        elements = kept
        start = 0
        count = kept.count
    }

    func makeIterator() -> AnyIterator<Element> {
        var next = 0
        return AnyIterator {
            guard next < count else { return nil }
            defer { next += 1 }
            return elements[(start + next) % elements.count]
        }
    }

    private mutating func grow() {
        var larger = [Element?](repeating: nil, count: Swift.max(16, 2 * count))
        for (index, element) in enumerated() { larger[index] = element }
        elements = larger
        start = 0
    }
}
